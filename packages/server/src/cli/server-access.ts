/** How commands reach a server: its address, the token, plain requests, and the SDK. Never says a token. */
import { connect, type Client, type TransportChoice } from '@tideway/client';
import { disableHttp2 } from '@tideway/client/node';
import { codeStatuses, isCode, TidewayError } from '@tideway/protocol';
import { CliError, exitCodes, usageError } from './exit-codes.ts';
import type { Flag } from './flags.ts';
import { type Io, say } from './io.ts';

export const urlFlag = {
  kind: 'text',
  value: 'URL',
  variable: 'TIDEWAY_URL',
  default: 'http://127.0.0.1:7400',
  meaning: 'The server; the token is taken from $TIDEWAY_TOKEN.',
} as const satisfies Flag;

export const timeoutFlag = {
  kind: 'duration',
  default: 10_000,
  min: 100,
  max: 3_600_000,
  meaning: 'How long to wait for the server.',
} as const satisfies Flag;

export const transportFlag = {
  kind: 'choice',
  choices: ['auto', 'websocket', 'sse'],
  default: 'auto',
  meaning: 'How to reach it; auto takes SSE where no WebSocket gets through.',
} as const satisfies Flag;

/** What the server says of itself and of the caller (HTTP-13). */
export interface ServerSession {
  readonly user?: string;
  readonly server: string;
  readonly pingMs?: number;
  readonly expiresInMs?: number;
  readonly limits: { readonly recordBytes: number };
}

export interface ServerAccess {
  /** Without a slash at the end. */
  readonly url: string;
  readonly token: string | undefined;
  readonly session: ServerSession;
  /** A request with the token; any answer that is no success is thrown as a `TidewayError`. */
  request(path: string, init?: RequestInit): Promise<Response>;
  client(transport?: TransportChoice): Client;
}

/**
 * Asks the server who it is and whether it takes the token.
 *
 * @throws CliError (usage, unreachable) or TidewayError, by which the exit code is known
 */
export async function reachServer(
  io: Io,
  flags: { readonly url: string; readonly timeout: number },
): Promise<ServerAccess> {
  const url = httpUrl(flags.url);
  // A connection that breaks is to be told and mended, not to end the command.
  if (url.startsWith('https:')) disableHttp2();
  const token = tokenOf(io);
  const { timeout } = flags;
  const request = (path: string, init: RequestInit = {}): Promise<Response> => ask({ url, token, path, init });
  const response = await request('/v1/session', { signal: AbortSignal.timeout(timeout) });
  const session = await response.json().then(
    (body: unknown) => body as ServerSession | null,
    () => null,
  );
  if (typeof session?.server !== 'string')
    throw new CliError(exitCodes.unreachable, `what answers at ${url} is no Tideway server`);
  return {
    url,
    token,
    session,
    request,
    client: (transport = 'auto') =>
      connect({
        url,
        transport,
        token: () => token,
        onError: (error) => say(io, `warning: ${(error as Error).message}`),
      }),
  };
}

/** An http URL without a slash at the end; ws and wss are taken for what they stand for. */
function httpUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^(?:http|ws)s?:$/.test(url.protocol)) {
    throw usageError(
      `--url: "${text}" is not allowed; a URL such as http://127.0.0.1:7400 or wss://live.example.com is`,
    );
  }
  if (url.username !== '' || url.password !== '') {
    throw usageError('--url: credentials do not belong in a URL; give a token in $TIDEWAY_TOKEN');
  }
  return `${url.protocol.replace('ws', 'http')}//${url.host}${url.pathname.replace(/\/+$/, '')}`;
}

/** $TIDEWAY_TOKEN: a JWT or an API key. */
export function tokenOf(io: Io): string | undefined {
  const token = io.environment['TIDEWAY_TOKEN']?.trim();
  if (token === undefined || token === '') return undefined;
  // A header that cannot be sent would be shown in the runtime's own error.
  if (!/^[\x21-\x7e]+$/.test(token)) throw usageError('TIDEWAY_TOKEN holds characters that no token has');
  return token;
}

async function ask(call: {
  readonly url: string;
  readonly token: string | undefined;
  readonly path: string;
  readonly init: RequestInit;
}): Promise<Response> {
  const { url, token, path, init } = call;
  const headers = new Headers(init.headers);
  if (token !== undefined) headers.set('authorization', `Bearer ${token}`);
  let response: Response;
  try {
    response = await fetch(url + path, { ...init, headers, redirect: 'manual' });
  } catch (error) {
    throw unreachable(url, error as Error);
  }
  if (response.ok) return response;
  throw await errorOf(response, url);
}

function unreachable(url: string, error: Error): CliError {
  if (error.name === 'TimeoutError') return new CliError(exitCodes.unreachable, `${url} does not answer in time`);
  const cause = error.cause as (Error & { readonly code?: string }) | undefined;
  const reason = cause?.code ?? cause?.message ?? error.message;
  const isCertificate = /CERT|SELF_SIGNED|ISSUER|ALTNAME/.test(reason);
  return new CliError(
    exitCodes.unreachable,
    `no server can be reached at ${url} (${reason})`,
    isCertificate
      ? 'NODE_EXTRA_CA_CERTS=./tideway-data/dev-cert.pem in the environment, for the certificate of tideway dev --tls'
      : 'tideway dev, or --url for a server elsewhere',
  );
}

async function errorOf(response: Response, url: string): Promise<Error> {
  const text = await response.text();
  try {
    const { code, message, retryMs } = (JSON.parse(text) as { error: Record<string, unknown> }).error;
    if (typeof code === 'string' && isCode(code)) {
      return new TidewayError(code, String(message), typeof retryMs === 'number' ? { retryMs } : {});
    }
  } catch {
    // Not ours: told by its status.
  }
  const { unauthenticated, forbidden } = codeStatuses;
  if (response.status === unauthenticated || response.status === forbidden)
    return new CliError(exitCodes.refused, `${url} answers ${response.status}`);
  return new CliError(
    exitCodes.unreachable,
    `what answers at ${url} is no Tideway server, or a proxy: ${response.status}`,
  );
}
