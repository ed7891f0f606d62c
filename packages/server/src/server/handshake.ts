/**
 * Whether an upgrade is a WebSocket handshake that Tideway takes (PROTOCOL.md WS-1, RFC 6455 §4.2.1), or why not. Looks at
 * the request alone: whether there is room is asked elsewhere.
 */
import type { IncomingMessage } from 'node:http';
import type { ClientSide } from '../auth/forwarded.ts';
import type { OriginPolicy } from '../auth/origin.ts';
import type { RequestRefusal } from '../transport/request-refusal.ts';

export const WEBSOCKET_PATH = '/v1/ws';
const SUBPROTOCOL = 'tideway.v1';
const VERSION = '13';
/** 16 bytes in base64. */
const KEY = /^[A-Za-z0-9+/]{22}==$/;
const TOKEN = /^[\w!#$%&'*+.^`|~-]+$/;

/** Whether the request asks for WebSocket; any other `Upgrade` is ignored, and any in HTTP/1.0 (RFC 9110 §7.8). */
export function isWebSocket(request: IncomingMessage): boolean {
  if (request.httpVersion === '1.0') return false;
  return request.headers.upgrade?.split(',').some((one) => one.trim().toLowerCase() === 'websocket') === true;
}

export interface Handshake {
  /** The page that asks may use the cookies that came along. */
  readonly cookies: boolean;
}

export function readHandshake(
  request: IncomingMessage,
  origins: OriginPolicy,
  client: ClientSide,
): Handshake | RequestRefusal {
  const { headers } = request;
  if (pathOf(request) !== WEBSOCKET_PATH)
    return { code: 'not_found', message: `there is no WebSocket at this path; ${WEBSOCKET_PATH} is` };
  const fault = whyNoHost(request);
  if (fault !== undefined) return { code: 'bad_frame', message: fault };
  if (Number(headers['content-length'] ?? 0) > 0 || headers['transfer-encoding'] !== undefined)
    return { code: 'bad_frame', message: 'a WebSocket is asked for without a body' };
  const host = origins.checkHost(client.headers);
  if (!host.allowed) return { code: 'forbidden', message: host.reason ?? 'this name is not ours' };
  const origin = origins.checkOrigin(client.headers, client.isEncrypted);
  if (!origin.allowed) return { code: 'forbidden', message: origin.reason ?? 'this origin is not allowed' };
  if (request.method !== 'GET') {
    const message = `a WebSocket is asked for with GET, got ${request.method?.slice(0, 16)}`;
    return { code: 'method_not_allowed', message, headers: { Allow: 'GET' } };
  }
  if (headers['sec-websocket-version'] !== VERSION) {
    const message = `Sec-WebSocket-Version must be ${VERSION} (RFC 6455)`;
    return { code: 'bad_frame', message, status: 426, headers: { 'Sec-WebSocket-Version': VERSION } };
  }
  if (!KEY.test(headers['sec-websocket-key'] ?? ''))
    return { code: 'bad_frame', message: 'Sec-WebSocket-Key must be 16 bytes in base64' };
  const offered = headers['sec-websocket-protocol']?.split(',').map((one) => one.trim()) ?? [];
  if (!offered.includes(SUBPROTOCOL))
    return { code: 'bad_frame', message: `ask for the subprotocol ${SUBPROTOCOL} (Sec-WebSocket-Protocol)` };
  if (new Set(offered).size !== offered.length || !offered.every((one) => TOKEN.test(one)))
    return { code: 'bad_frame', message: 'Sec-WebSocket-Protocol must be a list of different tokens' };
  return { cookies: origin.cookies };
}

/** A whole URL as the target of a request: its authority, and what follows. */
const ABSOLUTE_FORM = /^https?:\/\/([^/?#]+)([^]*)$/i;

export function pathOf(request: { readonly url?: string | undefined }): string {
  const target = request.url ?? '/';
  return originForm(ABSOLUTE_FORM.exec(target)?.[2] ?? target).split('?')[0] as string;
}

/** A target in absolute form is read as any other, and the host is the one that it names (RFC 9112 §3.2.2). */
export function readTarget(request: Pick<IncomingMessage, 'url' | 'headers'>): void {
  const [, host, rest] = ABSOLUTE_FORM.exec(request.url ?? '/') ?? [];
  if (host === undefined || rest === undefined) return;
  request.headers.host = host;
  request.url = originForm(rest);
}

function originForm(target: string): string {
  return target.startsWith('/') || target === '*' ? target : `/${target}`;
}

/** A request of HTTP/1.1 has one `Host` (RFC 9112 §3.2): with several, somebody in front may have looked at another one. */
export function whyNoHost(request: {
  readonly httpVersion: string;
  readonly rawHeaders: readonly string[];
}): string | undefined {
  if (!request.httpVersion.startsWith('1.')) return undefined;
  const count = request.rawHeaders.filter((name, n) => n % 2 === 0 && name.toLowerCase() === 'host').length;
  if (count > 1) return `a request has one Host header, this one has ${count}`;
  return count === 0 && request.httpVersion === '1.1' ? 'a request has a Host header' : undefined;
}
