/**
 * The HTTP API (PROTOCOL.md §10): which path and method is which call, and the way every request takes: host, origin,
 * credentials, the call, its errors. Calls that write are `http-appends.ts`, those that read `http-records.ts`, streams
 * are `sse.ts`.
 */
import { limits } from '@tideway/protocol';
import type { Authenticator } from '../auth/authenticator.ts';
import type { ReadClientSide } from '../auth/forwarded.ts';
import type { Identity } from '../auth/identity.ts';
import type { OriginPolicy } from '../auth/origin.ts';
import type { Tickets } from '../auth/tickets.ts';
import { authorize } from '../hub/admission.ts';
import { withRetry, type Refusal } from '../hub/refusal.ts';
import type { Commands } from '../hub/commands.ts';
import type { Hub } from '../hub/hub.ts';
import type { Health } from '../ops/health.ts';
import { Exchange, parseBody, type Request, type Response } from './exchange.ts';
import { FaultyConnection, readFault } from './faults.ts';
import { keyOf, postBatch, postControl, postRecord } from './http-appends.ts';
import { postCall } from './http-calls.ts';
import { getFeed } from './http-feed.ts';
import { getRecords, type Reading } from './http-records.ts';
import { getSession } from './http-session.ts';
import { badFrame, refusalOf, type ReferRequest, type RequestRefusal } from './request-refusal.ts';
import type { EventStreams } from './sse.ts';

type Call = (exchange: Exchange, identity: Identity) => Promise<void> | void;

export interface HttpApi {
  /** Whether a path is one of ours; others may be somebody else's to answer. */
  serves(path: string): boolean;
  /** Answers a request for one of our paths. */
  handle(request: Request, response: Response): Promise<void>;
  /** Answers a request that is for none. */
  refuse(request: Request, response: Response, refusal: RequestRefusal): void;
}

export function createHttpApi(parts: {
  readonly hub: Hub;
  readonly commands: Commands;
  readonly streams: EventStreams;
  readonly reading: Reading;
  readonly authenticate: Authenticator['authenticate'];
  readonly origins: OriginPolicy;
  readonly clientSide: ReadClientSide;
  readonly tickets: Tickets;
  readonly health: Health;
  readonly renderMetrics: () => string | Promise<string>;
  readonly metricsContentType: string;
  /** Ends all sessions of a user; resolves with how many there were. */
  readonly disconnect: (user: string) => Promise<number>;
  /** Why nobody new is taken, once that is so; `undefined` before. */
  readonly whenLeaving: () => Refusal | undefined;
  readonly faults: boolean;
  readonly refer: ReferRequest;
}): HttpApi {
  const { hub, commands, streams, reading, tickets, health } = parts;
  const session = { policy: hub.policy, describe: (identity: Identity) => commands.signIn.describe(identity) };

  const calls: Readonly<Record<string, Readonly<Record<string, Call>>>> = {
    '/v1/records': {
      POST: (exchange, identity) => postRecord(hub, exchange, identity),
      GET: (exchange, identity) => getRecords(reading, exchange, identity),
      DELETE: (exchange, identity) => postControl(hub, exchange, identity, 'trim'),
    },
    '/v1/feed': { GET: (exchange, identity) => getFeed(reading, exchange, identity) },
    '/v1/batch': { POST: (exchange, identity) => postBatch(hub, exchange, identity) },
    '/v1/close': { POST: (exchange, identity) => postControl(hub, exchange, identity, 'close') },
    '/v1/events': {
      GET: (exchange, identity) => streams.open(exchange, identity),
      POST: (exchange, identity) => streams.open(exchange, identity),
    },
    '/v1/session': { GET: getOwnSession },
    '/v1/signals': { POST: postSignal },
    '/v1/calls': { POST: (exchange, identity) => postCall(commands.calls, exchange, identity) },
    '/v1/tickets': { POST: postTicket },
    '/v1/disconnect': { POST: postDisconnect },
    '/v1/latest': { GET: unsupported },
    '/v1/presence': { GET: unsupported },
    '/v1/ws': { GET: notAnUpgrade },
    ...(parts.faults ? { '/v1/faults': { GET: getFaults, POST: postFault } } : {}),
  };
  /** Requests that were not answered yet; kept only where there are faults. */
  const asking = new Set<Exchange>();
  const open: Readonly<Record<string, (exchange: Exchange) => void | Promise<void>>> = {
    '/healthz': (exchange) => exchange.json(health.healthz().status, health.healthz().body),
    '/readyz': (exchange) => {
      const { status, body } = health.readyz(exchange.query.all('filling')[0] === 'ok');
      exchange.json(status, body);
    },
    '/metrics': async (exchange) =>
      exchange.bytes(200, Buffer.from(await parts.renderMetrics()), { 'content-type': parts.metricsContentType }),
  };

  /** Not of a node that is leaving: whoever asks it begins anew elsewhere. */
  function getOwnSession(exchange: Exchange, identity: Identity): Promise<void> | void {
    const refusal = parts.whenLeaving();
    if (refusal !== undefined) return exchange.fail(withRetry(refusal));
    return getSession(session, exchange, identity);
  }

  async function postSignal(exchange: Exchange, identity: Identity): Promise<void> {
    const channel = exchange.query.one('channel');
    const key = keyOf(exchange.given('tideway-key'));
    const to = exchange.query.maybeUser('to');
    const refusal = await authorize(hub.policy, identity, 'signal', channel);
    if (refusal !== undefined) return exchange.fail(withRetry(refusal));
    const payload = await exchange.body(limits.signalBytes + limits.headerBytes, limits.signalBytes);
    const from = { identity, instance: exchange.instance() };
    const signal = { channel, key, to, encoding: exchange.hasBytes ? 'bytes' : 'json', payload } as const;
    const refused = commands.signals.send(from, signal);
    if (refused === undefined) exchange.json(202, {});
    else exchange.fail(withRetry(refused));
  }

  async function postTicket(exchange: Exchange, identity: Identity): Promise<void> {
    const channels = channelsOf(await exchange.text(limits.bodyBytes));
    for (const channel of channels) {
      const refusal = await authorize(hub.policy, identity, 'subscribe', channel);
      if (refusal !== undefined) return exchange.fail(withRetry(refusal));
    }
    exchange.json(200, tickets.create({ identity, channels }));
  }

  async function postDisconnect(exchange: Exchange, identity: Identity): Promise<void> {
    exchange.query.one('user');
    const user = exchange.query.maybeUser('user') as string;
    // There is no channel to ask about: whoever may administer may disconnect.
    const may =
      identity.development === true ||
      (identity.kind === 'key' && identity.allow === undefined) ||
      identity.roles.includes('admin');
    if (!may) {
      const code = identity.kind === 'anonymous' ? 'unauthenticated' : 'forbidden';
      return exchange.fail({ code, message: 'disconnect needs an API key or the role "admin"' });
    }
    exchange.json(200, { sessions: await parts.disconnect(user) });
  }

  /** Which client objects are connected to this node, or wait for its answer: behind a load balancer nobody else knows. */
  function getFaults(exchange: Exchange): void {
    const sessions = [...hub.sessions].filter(({ connection }) => connection instanceof FaultyConnection);
    const instances = new Set(sessions.map(({ instance }) => instance));
    for (const other of asking) instances.add(other.instance());
    instances.delete('');
    exchange.json(200, { sessions: sessions.length, instances: [...instances] });
  }

  async function postFault(exchange: Exchange): Promise<void> {
    const instance = exchange.query.one('instance');
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
    const ticket =
      exchange.path === '/v1/events' && exchange.method === 'GET' ? exchange.query.maybe('ticket') : undefined;
    if (ticket !== undefined) return tickets.verify(ticket, exchange.query.all('channel'));
    return await parts.authenticate({
      ...(cookies ? { cookie: exchange.header('cookie') } : {}),
      headers: exchange.request.headers,
      remoteAddress: exchange.client.remoteAddress,
    });
  }

  async function answer(exchange: Exchange): Promise<void> {
    const health = open[exchange.path];
    const methods = calls[exchange.path];
    const { headers, isEncrypted } = exchange.client;
    const host = parts.origins.checkHost(headers);
    if (!host.allowed) return exchange.fail({ code: 'forbidden', message: host.reason ?? 'this name is not ours' });
    if (health !== undefined)
      return exchange.method === 'GET' || exchange.method === 'HEAD'
        ? health(exchange)
        : wrongMethod(exchange, ['GET']);
    const call = methods?.[exchange.method === 'HEAD' ? 'GET' : exchange.method];
    if (methods === undefined) return;
    const origin = parts.origins.checkOrigin(headers, isEncrypted);
    if (exchange.method === 'OPTIONS') return preflight(exchange);
    if (!origin.allowed)
      return exchange.fail({ code: 'forbidden', message: origin.reason ?? 'this origin is not allowed' });
    if (call === undefined) return wrongMethod(exchange, Object.keys(methods));
    exchange.instance();
    if (parts.faults) {
      asking.add(exchange);
      exchange.response.once('close', () => asking.delete(exchange));
    }
    exchange.identity = await identify(exchange, origin.cookies);
    await call(exchange, exchange.identity);
  }

  function preflight(exchange: Exchange): void {
    const { headers, isEncrypted } = exchange.client;
    exchange.bytes(204, Buffer.alloc(0), parts.origins.preflightHeaders(headers, isEncrypted));
  }

  function wrongMethod(exchange: Exchange, allowed: readonly string[]): void {
    const message = `${exchange.path} takes ${allowed.join(', ')}, got ${exchange.method.slice(0, 16)}`;
    exchange.fail({ code: 'method_not_allowed', message, headers: { Allow: allowed.join(', ') } });
  }

  function exchangeOf(request: Request, response: Response): Exchange {
    const client = parts.clientSide(request);
    const headers = parts.origins.corsHeaders(client.headers, client.isEncrypted);
    return new Exchange({ request, response, headers, client, refer: parts.refer, budget: hub.budget });
  }

  return {
    refuse: (request, response, refusal) => exchangeOf(request, response).fail(refusal),

    serves: (path) => open[path] !== undefined || calls[path] !== undefined,

    async handle(request, response) {
      const exchange = exchangeOf(request, response);
      try {
        await answer(exchange);
      } catch (error) {
        exchange.cause = error;
        const refusal = refusalOf(error);
        if (refusal.code === 'too_large') hub.figures.hit('bodyBytes');
        if (refusal.code === 'overloaded') hub.figures.hit('outboxBytesTotal');
        if (exchange.path === '/v1/events') streams.refuse(exchange, refusal);
        else exchange.fail(refusal);
      }
    },
  };
}

function channelsOf(body: string): readonly string[] {
  const channels = (parseBody(body) as { readonly channels?: unknown } | null)?.channels;
  const max = limits.eventSourceChannels;
  if (
    !Array.isArray(channels) ||
    channels.length < 1 ||
    channels.length > max ||
    !channels.every((channel) => typeof channel === 'string')
  ) {
    throw badFrame(`the body must be {"channels": [1 to ${max} names]}`);
  }
  return channels;
}
