/**
 * The HTTP API (PROTOCOL.md §10): which path and method is which call, and the way every request takes: host, origin,
 * credentials, the call, its errors. Calls on records are `http-records.ts`, streams are `sse.ts`.
 */
import { limits, TidewayError } from '@tideway/protocol';
import type { Authenticator } from '../auth/authenticator.ts';
import type { Identity } from '../auth/identity.ts';
import type { OriginPolicy } from '../auth/origin.ts';
import type { Tickets } from '../auth/tickets.ts';
import { authorize, type Refusal } from '../hub/admission.ts';
import type { Commands } from '../hub/commands.ts';
import type { Hub } from '../hub/hub.ts';
import { withRetry } from '../hub/replies.ts';
import type { Health } from '../ops/health.ts';
import { Exchange, refusalOf, type Request, type Response } from './exchange.ts';
import { FaultyConnection, readFault } from './faults.ts';
import { getRecords, keyOf, postBatch, postControl, postRecord } from './http-records.ts';
import type { LongReads } from './long-reads.ts';
import type { EventStreams } from './sse.ts';

type Call = (exchange: Exchange, identity: Identity) => Promise<void> | void;

export interface HttpApi {
  /** Answers a request; false when its path is not one of ours and somebody else may answer it. */
  handle(request: Request, response: Response): Promise<boolean>;
}

export function createHttpApi(parts: {
  readonly hub: Hub;
  readonly commands: Commands;
  readonly streams: EventStreams;
  readonly longReads: LongReads;
  readonly authenticate: Authenticator['authenticate'];
  readonly origins: OriginPolicy;
  readonly tickets: Tickets;
  readonly health: Health;
  readonly renderMetrics: () => string;
  readonly metricsContentType: string;
  /** Ends all sessions of a user; returns how many there were. */
  readonly disconnect: (user: string) => number;
  readonly faults: boolean;
  /** Writes a refusal to the log, with what was thrown if anything was; returns the reference both share. */
  readonly refer: (failure: Refusal, path: string, cause?: unknown) => string;
}): HttpApi {
  const { hub, commands, streams, longReads, tickets, health } = parts;

  const calls: Readonly<Record<string, Readonly<Record<string, Call>>>> = {
    '/v1/records': {
      POST: (exchange, identity) => postRecord(hub, exchange, identity),
      GET: (exchange, identity) => getRecords(hub, longReads, exchange, identity),
      DELETE: (exchange, identity) => postControl(hub, exchange, identity, 'trim'),
    },
    '/v1/batch': { POST: (exchange, identity) => postBatch(hub, exchange, identity) },
    '/v1/close': { POST: (exchange, identity) => postControl(hub, exchange, identity, 'close') },
    '/v1/events': {
      GET: (exchange, identity) => streams.open(exchange, identity),
      POST: (exchange, identity) => streams.open(exchange, identity),
    },
    '/v1/session': { GET: getSession },
    '/v1/signals': { POST: postSignal },
    '/v1/tickets': { POST: postTicket },
    '/v1/disconnect': { POST: postDisconnect },
    '/v1/latest': { GET: unsupported },
    '/v1/presence': { GET: unsupported },
    '/v1/ws': { GET: notAnUpgrade },
    ...(parts.faults ? { '/v1/faults': { POST: postFault } } : {}),
  };
  const open: Readonly<Record<string, (exchange: Exchange) => void>> = {
    '/healthz': (exchange) => exchange.json(health.healthz().status, health.healthz().body),
    '/readyz': (exchange) => exchange.json(health.readyz().status, health.readyz().body),
    '/metrics': (exchange) =>
      exchange.bytes(200, Buffer.from(parts.renderMetrics()), { 'content-type': parts.metricsContentType }),
  };

  /** Who the caller is taken for: the `ok` of `hello` for clients without a WebSocket (HTTP-13). */
  function getSession(exchange: Exchange, identity: Identity): void {
    exchange.json(200, commands.signIn.describe(identity));
  }

  async function postSignal(exchange: Exchange, identity: Identity): Promise<void> {
    const channel = exchange.one('channel');
    const key = keyOf(exchange.header('tideway-key'));
    const refusal = await authorize(hub.policy, identity, 'signal', channel);
    if (refusal !== undefined) return exchange.fail(withRetry(refusal));
    const payload = await exchange.body(limits.signalBytes + limits.headerBytes);
    const isBytes = exchange.header('content-type')?.startsWith('application/octet-stream') === true;
    const from = { identity, instance: exchange.header('tideway-instance') ?? '' };
    const signal = { channel, key, to: exchange.maybe('to'), encoding: isBytes ? 'bytes' : 'json', payload } as const;
    const refused = commands.signal(from, signal);
    if (refused === undefined) exchange.json(202, {});
    else exchange.fail(withRetry(refused));
  }

  async function postTicket(exchange: Exchange, identity: Identity): Promise<void> {
    const body = await exchange.body(limits.bodyBytes);
    const channels = channelsOf(body);
    for (const channel of channels) {
      const refusal = await authorize(hub.policy, identity, 'subscribe', channel);
      if (refusal !== undefined) return exchange.fail(withRetry(refusal));
    }
    exchange.json(200, tickets.create({ identity, channels }));
  }

  async function postDisconnect(exchange: Exchange, identity: Identity): Promise<void> {
    const user = exchange.one('user');
    // There is no channel to ask about: whoever may administer may disconnect.
    const may =
      identity.development === true ||
      (identity.kind === 'key' && identity.allow === undefined) ||
      identity.roles.includes('admin');
    if (!may) {
      const code = identity.kind === 'anonymous' ? 'unauthenticated' : 'forbidden';
      return exchange.fail({ code, message: 'disconnect needs an API key or the role "admin"' });
    }
    tickets.revoke(user);
    exchange.json(200, { sessions: parts.disconnect(user) });
  }

  async function postFault(exchange: Exchange): Promise<void> {
    const instance = exchange.one('instance');
    const fault = readFault(await exchange.body(limits.bodyBytes));
    let connections = 0;
    for (const session of [...hub.sessions]) {
      const { connection } = session;
      if (session.instance !== instance || !(connection instanceof FaultyConnection)) continue;
      connections++;
      if (fault.cut) connection.cut();
      else connection.setFault(fault);
    }
    exchange.json(200, { connections });
  }

  function unsupported(exchange: Exchange): void {
    exchange.fail({ code: 'unsupported', message: `${exchange.path} is reserved; this server does not serve it yet` });
  }

  function notAnUpgrade(exchange: Exchange): void {
    exchange.fail({
      code: 'bad_frame',
      message: 'this path is for WebSocket: ask for an upgrade with the subprotocol tideway.v1',
    });
  }

  /** A ticket stands in place of credentials, on GET streams only (HTTP-9). */
  async function identify(exchange: Exchange, cookies: boolean): Promise<Identity> {
    const ticket = exchange.path === '/v1/events' && exchange.method === 'GET' ? exchange.maybe('ticket') : undefined;
    if (ticket !== undefined) return tickets.verify(ticket, exchange.query.getAll('channel'));
    return await parts.authenticate({
      ...(cookies ? { cookie: exchange.header('cookie') } : {}),
      headers: exchange.request.headers,
      remoteAddress: exchange.request.socket?.remoteAddress,
    });
  }

  async function answer(exchange: Exchange): Promise<void> {
    const health = open[exchange.path];
    const methods = calls[exchange.path];
    const { headers } = exchange.request;
    const host = parts.origins.checkHost(headers);
    if (!host.allowed) return exchange.fail({ code: 'forbidden', message: host.reason ?? 'this name is not ours' });
    if (health !== undefined)
      return exchange.method === 'GET' || exchange.method === 'HEAD'
        ? health(exchange)
        : wrongMethod(exchange, ['GET']);
    const call = methods?.[exchange.method === 'HEAD' ? 'GET' : exchange.method];
    if (methods === undefined) return;
    const origin = parts.origins.checkOrigin(headers, exchange.isEncrypted);
    if (exchange.method === 'OPTIONS') return preflight(exchange);
    if (!origin.allowed)
      return exchange.fail({ code: 'forbidden', message: origin.reason ?? 'this origin is not allowed' });
    if (call === undefined) return wrongMethod(exchange, Object.keys(methods));
    await call(exchange, await identify(exchange, origin.cookies));
  }

  function preflight(exchange: Exchange): void {
    exchange.bytes(
      204,
      Buffer.alloc(0),
      parts.origins.preflightHeaders(exchange.request.headers, exchange.isEncrypted),
    );
  }

  function wrongMethod(exchange: Exchange, allowed: readonly string[]): void {
    const message = `${exchange.path} takes ${allowed.join(', ')}, got ${exchange.method.slice(0, 16)}`;
    exchange.fail({ code: 'method_not_allowed', message }, { allow: allowed.join(', ') });
  }

  return {
    async handle(request, response) {
      const isEncrypted = (request.socket as { encrypted?: boolean } | undefined)?.encrypted === true;
      const headers = parts.origins.corsHeaders(request.headers, isEncrypted);
      const exchange = new Exchange({ request, response, headers, isEncrypted, refer: parts.refer });
      if (open[exchange.path] === undefined && calls[exchange.path] === undefined) return false;
      try {
        await answer(exchange);
      } catch (error) {
        exchange.cause = error;
        exchange.fail(refusalOf(error));
      }
      return true;
    },
  };
}

function channelsOf(body: Buffer): readonly string[] {
  let channels: unknown;
  try {
    channels = (JSON.parse(body.toString('utf8')) as { channels?: unknown } | null)?.channels;
  } catch {
    throw new TidewayError('bad_frame', 'the body is not JSON');
  }
  const max = limits.eventSourceChannels;
  if (
    !Array.isArray(channels) ||
    channels.length < 1 ||
    channels.length > max ||
    !channels.every((channel) => typeof channel === 'string')
  ) {
    throw new TidewayError('bad_frame', `the body must be {"channels": [1 to ${max} names]}`);
  }
  return channels;
}
