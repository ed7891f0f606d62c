/**
 * Which pages may speak to this server, and under which names it is reached: the origin allow-list (exact match, never
 * a part of a name: CWE-1385), the host allow-list against DNS rebinding, and the CORS headers that follow from them.
 */
import type { IncomingHttpHeaders } from 'node:http';
import { isIP } from 'node:net';

export interface OriginOptions {
  /** Origins besides the server's own, such as `https://app.example.com`; `*` lets every page in, without its cookies. */
  readonly origins: readonly string[];
  /** Names under which the server is reached, such as `chat.example.com`, without port; `*` takes every name. */
  readonly hosts: readonly string[];
  /** What the server listens on; absent where it is attached to another server. */
  readonly listenHost?: string | undefined;
  /** `tideway dev`: names are checked whatever it listens on. */
  readonly development?: boolean;
}

/** What a request's `Origin` may. */
export interface OriginVerdict {
  readonly allowed: boolean;
  /** False where a page got in by `*` only: what its browser adds by itself must not count. */
  readonly cookies: boolean;
  /** In words, why not. */
  readonly reason?: string;
}

export interface OriginPolicy {
  /** Whether the `Host` header is a name of ours; where not, the answer is 403 with this reason. */
  checkHost(headers: IncomingHttpHeaders): { readonly allowed: boolean; readonly reason?: string };
  /** Whether the page behind the request may use this server; requests of no page may. */
  checkOrigin(headers: IncomingHttpHeaders, isEncrypted: boolean): OriginVerdict;
  /** The CORS headers of an answer; none where the page may not read it, or there is no page. */
  corsHeaders(headers: IncomingHttpHeaders, isEncrypted: boolean): Readonly<Record<string, string>>;
  /** The CORS headers of the answer to a preflight (`OPTIONS`). */
  preflightHeaders(headers: IncomingHttpHeaders, isEncrypted: boolean): Readonly<Record<string, string>>;
}

const REQUEST_HEADERS =
  'Authorization, Content-Type, Idempotency-Key, Tideway-Key, Tideway-Instance, Last-Event-ID, traceparent';
/** Chromium keeps a preflight's answer for two hours at most. */
const PREFLIGHT_SECONDS = '7200';

const LOOPBACK = new Set(['localhost', '127.0.0.1', '::1']);

/** True for names and addresses that only this machine reaches. */
export function isLoopback(host: string): boolean {
  const name = bare(host);
  return LOOPBACK.has(name) || name.endsWith('.localhost') || (isIP(name) === 4 && name.startsWith('127.'));
}

export function createOriginPolicy(options: OriginOptions): OriginPolicy {
  const origins = new Set(options.origins.map((origin) => origin.toLowerCase()));
  const names = new Set(options.hosts.map((host) => bare(host.toLowerCase())));
  const { listenHost } = options;
  // On the network a server has names it cannot know; on loopback it has none but these, and pages on the internet
  // that rebind theirs are the danger.
  const isStrict =
    options.development === true || names.size > 0 || (listenHost !== undefined && isLoopback(listenHost));
  const anyHost = names.has('*') || !isStrict;

  function isOurs(name: string): boolean {
    // An address in `Host` was typed, not resolved: it cannot be rebound.
    return anyHost || isLoopback(name) || isIP(name) !== 0 || names.has(name) || name === bare(listenHost ?? '');
  }

  function checkOrigin(headers: IncomingHttpHeaders, isEncrypted: boolean): OriginVerdict {
    const { origin } = headers;
    if (origin === undefined) {
      const site = headers['sec-fetch-site'];
      if (site === 'cross-site' || site === 'same-site') {
        return {
          allowed: origins.has('*'),
          cookies: false,
          reason: 'a page of another origin asks without saying which',
        };
      }
      return { allowed: true, cookies: true };
    }
    const wanted = origin.toLowerCase();
    if (wanted !== 'null' && (origins.has(wanted) || isSameOrigin(wanted, hostOf(headers), isEncrypted))) {
      return { allowed: true, cookies: true };
    }
    if (origins.has('*')) return { allowed: true, cookies: false };
    const reason = `the origin ${shown(origin)} is neither this server's own nor in origins`;
    return { allowed: false, cookies: false, reason };
  }

  function corsHeaders(headers: IncomingHttpHeaders, isEncrypted: boolean): Record<string, string> {
    const { origin } = headers;
    if (origin === undefined) return origins.size > 0 ? { Vary: 'Origin' } : {};
    const verdict = checkOrigin(headers, isEncrypted);
    if (!verdict.allowed) return { Vary: 'Origin' };
    return {
      Vary: 'Origin',
      'Access-Control-Allow-Origin': verdict.cookies ? origin : '*',
      'Access-Control-Expose-Headers': 'ETag, Retry-After',
      ...(verdict.cookies && { 'Access-Control-Allow-Credentials': 'true' }),
    };
  }

  return {
    checkHost(headers) {
      const host = hostOf(headers);
      const name = hostName(host);
      if (name !== undefined && isOurs(name)) return { allowed: true };
      if (name === undefined && anyHost) return { allowed: true };
      return {
        allowed: false,
        reason: `the Host ${shown(host ?? '')} is no name of this server; add it to hosts`,
      };
    },
    checkOrigin,
    corsHeaders,
    preflightHeaders(headers, isEncrypted) {
      const cors = corsHeaders(headers, isEncrypted);
      if (cors['Access-Control-Allow-Origin'] === undefined) return cors;
      return {
        ...cors,
        'Access-Control-Allow-Methods': 'GET, POST, DELETE',
        'Access-Control-Allow-Headers': REQUEST_HEADERS,
        'Access-Control-Max-Age': PREFLIGHT_SECONDS,
      };
    },
  };
}

/** What the request is addressed to: `Host`, or its successor in HTTP/2, which no HTTP/1.1 header can imitate. */
function hostOf(headers: IncomingHttpHeaders): string | undefined {
  const authority = headers[':authority'];
  return typeof authority === 'string' ? authority : headers.host;
}

/** `https://host[:port]` against `Host`: the scheme counts only where we see it, since a proxy may end TLS. */
function isSameOrigin(origin: string, host: string | undefined, isEncrypted: boolean): boolean {
  const match = /^(https?):\/\/([^/?#@\s]+)$/.exec(origin);
  if (match === null || host === undefined) return false;
  const scheme = match[1] as string;
  if (isEncrypted && scheme !== 'https') return false;
  const port = scheme === 'https' ? ':443' : ':80';
  return withoutPort(match[2] as string, port) === withoutPort(host.toLowerCase(), port);
}

function withoutPort(host: string, port: string): string {
  return host.endsWith(port) ? host.slice(0, -port.length) : host;
}

/** The name in a `Host` header, without port and brackets; `undefined` when it is not well-formed. */
function hostName(host: string | undefined): string | undefined {
  const match = /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::\d{1,5})?$/.exec(host?.toLowerCase() ?? '');
  return match === null ? undefined : bare(match[1] as string);
}

/** Without the brackets of an IPv6 address and the dot at the end of a full name. */
function bare(host: string): string {
  return host.replace(/^\[(.*)\]$/, '$1').replace(/\.$/, '');
}

function shown(text: string): string {
  return JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}…` : text);
}
