/**
 * `createServer`: reads like a table of contents. Log, view, hub and transports start in this order and stop in the
 * reverse; what each does is in its own room.
 */
import type { IncomingMessage, Server as HttpServer, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Client } from '@tideway/client';
import { connectIn } from '@tideway/client/custom-env';
import { limits, type Code, type Contract } from '@tideway/protocol';
import { createAuthenticator } from './auth/authenticator.ts';
import { isSameParty, type Identity } from './auth/identity.ts';
import { createPermissions } from './auth/permissions.ts';
import { createOriginPolicy } from './auth/origin.ts';
import { createTickets, openTicketKey } from './auth/tickets.ts';
import type { Refusal } from './hub/admission.ts';
import { Commands } from './hub/commands.ts';
import { Hub } from './hub/hub.ts';
import type { Session } from './hub/session.ts';
import { resolveConfig, type ServerOptions } from './ops/config.ts';
import { createHealth } from './ops/health.ts';
import { createLineWriter } from './ops/logger-format.ts';
import { createLogger } from './ops/logger.ts';
import { watchProcess } from './ops/metrics-process.ts';
import { createMetrics, METRICS_CONTENT_TYPE } from './ops/metrics.ts';
import { createObserver } from './ops/observer.ts';
import { openBackbones } from './server/backbones.ts';
import { createFront, listen, type Fallback, type Listener } from './server/front.ts';
import { createInProcessEnv } from './server/in-process.ts';
import { drainSessions } from './server/drain.ts';
import { startVitals } from './server/vitals.ts';
import { createHttpApi } from './transport/http-api.ts';
import { LongReads } from './transport/long-reads.ts';
import { createEventStreams } from './transport/sse.ts';
import { createWebSocketTransport } from './transport/websocket.ts';
import { serverName, version } from './version.ts';

export interface ListenOptions {
  /** Default: the configuration's, 7400. 0 takes a free one. */
  readonly port?: number;
  /** Default: the configuration's, 127.0.0.1. */
  readonly host?: string;
  /** Answers paths that are not Tideway's. Default: `not_found`. */
  readonly fallback?: (request: IncomingMessage, response: ServerResponse) => void;
}

export interface CloseOptions {
  /** How long clients may take to move elsewhere. Default: the configuration's `drainMs`. */
  readonly drainMs?: number;
}

/** A server of one node. */
export interface Server<C extends Contract = Contract> extends Pick<Client<C>, 'channel'> {
  /** Listens on a port of its own; resolves with where. */
  listen(options?: ListenOptions): Promise<{ readonly url: string; readonly port: number }>;
  /** Serves Tideway's paths on a server that the application has (Express, Fastify, plain Node); all others stay its own. */
  attach(server: HttpServer): void;
  /** Where it listens; `undefined` before `listen`. */
  readonly url: string | undefined;
  /** Ends all sessions of a user; returns how many there were. Does not revoke credentials. */
  disconnect(user: string): number;
  /** Tells clients to go elsewhere, answers what is in flight, flushes, closes. Calling it again waits for the same end. */
  close(options?: CloseOptions): Promise<void>;
}

/**
 * Opens the log and the view and makes a server that is ready to listen.
 *
 * @throws ConfigError naming each wrong key, its value and what is allowed; Error in words when the log cannot be opened
 * @example const server = await createServer({ namespaces: { chat: { subscribe: 'user', append: 'user' } } });
 */
export async function createServer<const C extends Contract = Contract>(
  options: ServerOptions & { readonly contract?: C | undefined } = {},
): Promise<Server<C>> {
  const config = resolveConfig(options);
  const { env } = config;

  // What it tells about itself
  const logger = createLogger({
    env,
    level: config.logLevel,
    write: config.logger ?? createLineWriter(config.logFormat),
  });
  const namespaces = Object.keys(config.namespaces);
  const metrics = createMetrics(namespaces);
  const health = createHealth({ version });
  const observer = createObserver({ env, logger, metrics, namespaces });
  const stopWatchingProcess = watchProcess(metrics, config.data);

  // Who may what
  const policy = createPermissions(config);
  const tickets = createTickets({ key: await openTicketKey(config.data, env), env });
  const authenticator = await createAuthenticator({
    auth: config.auth,
    env,
    development: config.development,
    onJwksFailure: ({ source, message }) => logger.log('auth.jwks_failed', { url: source, message }),
  });

  // Log, view, hub
  const backbones = await openBackbones({
    config,
    logger,
    onLog,
    onVerdict: (ticket, verdict) => hub.onVerdict(ticket, verdict),
    onTrouble: observer.viewTrouble,
  });
  const hub: Hub = new Hub({
    env,
    durable: backbones.durable,
    memory: backbones.memory,
    policy,
    outboxBytesMax: config.limits.outboxBytes,
    outboxBytesTotal: config.limits.outboxBytesTotal,
    ringBytesTotal: config.limits.ringBytesTotal,
    onAppended: observer.appended,
    onTrouble: observer.trouble,
  });
  observer.watch(hub, health);
  const recordBytesMax = Math.max(
    config.limits.recordBytes,
    ...Object.values(config.namespaces).map(({ recordBytes }) => recordBytes),
  );
  const commands = new Commands(hub, {
    authenticate: (session, token) =>
      observer.authenticating(session.connection.transport, () => identify(session, token)),
    isSameParty,
    admit,
    isLogUp: () => health.isLogUp,
    about: {
      pingMs: config.pingMs,
      server: serverName,
      limits: {
        recordBytes: recordBytesMax,
        channelsPerFrame: limits.channelsPerFrame,
        subscriptions: config.limits.subscriptions,
        pageRecords: limits.pageRecords,
        batchItems: limits.batchItems,
      },
    },
    refer: observer.refused,
    appendsPerSecond: config.limits.appendsPerSecond,
    signalsPerSecond: config.limits.signalsPerSecond,
  });

  // Transports
  const sessionParts = { env, hub, commands, faults: config.faults, onClosed: observer.closed };
  /** The requests that opened WebSockets: their headers may be the credentials. */
  const requests = new WeakMap<Session, IncomingMessage>();
  const onOpened = (session: Session, request?: IncomingMessage): void => {
    if (request !== undefined) requests.set(session, request);
    observer.opened(session, { remoteAddress: request?.socket.remoteAddress, origin: request?.headers.origin });
  };
  const webSockets = createWebSocketTransport({
    ...sessionParts,
    onOpened,
    onTrouble: observer.trouble,
    recordBytesMax,
    pingMs: config.pingMs,
    helloMs: config.helloMs,
  });
  const streams = createEventStreams({ ...sessionParts, onOpened, admit });
  const longReads = new LongReads(hub);
  function door(listenHost: string | undefined) {
    const origins = createOriginPolicy({
      origins: config.origins,
      hosts: config.hosts,
      listenHost,
      development: config.development,
    });
    const api = createHttpApi({
      hub,
      commands,
      streams,
      longReads,
      authenticate: (credentials) => observer.authenticating('http', () => authenticator.authenticate(credentials)),
      origins,
      tickets,
      health,
      renderMetrics: () => metrics.render(),
      metricsContentType: METRICS_CONTENT_TYPE,
      disconnect,
      faults: config.faults,
      refer: observer.requestRefused,
    });
    const refused = (code: Code, message: string, path: string): string =>
      observer.requestRefused({ code, message }, path);
    return createFront({ api, webSockets, origins, roomFor, refused });
  }

  /** Whoever is connected is told that what is shown may be stale, or is true again (CLS-1). */
  function onLog(state: 'down' | 'up'): void {
    health.setLog(state);
    for (const session of hub.sessions) if (session.identity !== undefined) session.send({ op: 'log', state });
  }

  async function identify(session: Session, token: string | undefined): Promise<Identity> {
    if (session.connection.transport === 'local') return SERVER_ITSELF;
    const request = requests.get(session);
    const headers = request?.headers ?? {};
    const { cookie } = headers;
    const remoteAddress = request?.socket.remoteAddress;
    const identity = await authenticator.authenticate({ token, cookie, headers, remoteAddress });
    // From now on only a token of its own can change who it is: the request need not be kept for it.
    requests.delete(session);
    return identity;
  }

  /** A limit on the sessions of one user turns the newest away. */
  function admit(_session: Session, identity: Identity): Refusal | undefined {
    const { user } = identity;
    const max = config.limits.sessionsPerUser;
    if (user === undefined || hub.sessionsOf(user) < max) return undefined;
    return { code: 'limit_exceeded', message: `a user has at most ${max} sessions on a node` };
  }

  function roomFor(): Refusal | undefined {
    if (health.state === 'draining')
      return { code: 'going_away', message: 'this node is stopping; another takes over' };
    const max = config.limits.sessions;
    return hub.sessions.size < max ? undefined : { code: 'overloaded', message: `this node has its ${max} sessions` };
  }

  function disconnect(user: string): number {
    const concerned = [...hub.sessions].filter(({ identity }) => identity?.user === user);
    for (const session of concerned)
      commands.replies.close(session, 'disconnected', 'the server ended all sessions of this user');
    if (concerned.length > 0) logger.log('session.disconnected', { user, count: concerned.length });
    return concerned.length;
  }

  // In process: the SDK on a wire that is a function call
  const client = connectIn(createInProcessEnv({ env, hub, commands, logger, longReads, identity: SERVER_ITSELF }), {
    url: 'http://in-process',
    transport: 'websocket',
  });
  const stopVitals = startVitals({ env, hub, policy, health });

  const listeners: Listener[] = [];
  const attached: (() => void)[] = [];
  let closing: Promise<void> | undefined;
  health.setState('ready');
  logger.log('server.started', { version });

  async function close(drainMs: number): Promise<void> {
    health.setState('draining');
    logger.log('server.stopping');
    longReads.stop();
    await drainSessions({ env, hub, commands, logger, drainMs });
    client.close();
    stopVitals();
    await hub.drained();
    webSockets.stop();
    streams.stop();
    await Promise.all(listeners.map((listener) => listener.close()));
    for (const detach of attached) detach();
    await backbones.memory.close();
    await backbones.durable.close();
    stopWatchingProcess();
    health.setState('stopped');
    logger.log('server.stopped');
    logger.flush();
  }

  return {
    channel: client.channel.bind(client) as Client<C>['channel'],
    disconnect,
    get url() {
      return listeners[0]?.url;
    },
    async listen({ port = config.port, host = config.host, fallback } = {}) {
      const listener = await listen({
        front: door(host),
        fallback: fallback as Fallback | undefined,
        host,
        port,
        tls: config.tls,
        env,
        logger,
      });
      listeners.push(listener);
      logger.log('server.listening', { url: listener.url, port: listener.port });
      return { url: listener.url, port: listener.port };
    },
    attach(server) {
      const front = door(undefined);
      const before = server.listeners('request') as ((request: IncomingMessage, response: ServerResponse) => void)[];
      const onRequest = (request: IncomingMessage, response: ServerResponse): void =>
        front.handle(
          request,
          response,
          before.length === 0
            ? undefined
            : () => {
                for (const listener of before) listener.call(server, request, response);
              },
        );
      const onUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
        // Nobody else answers it either: refused, it does not stay open.
        const isAlone = server.listenerCount('upgrade') === 1;
        if (isAlone || request.url?.split('?')[0] === '/v1/ws') front.upgrade(request, socket, head);
      };
      server.removeAllListeners('request');
      server.on('request', onRequest);
      server.on('upgrade', onUpgrade);
      attached.push(() => {
        server.off('request', onRequest);
        server.off('upgrade', onUpgrade);
        for (const listener of before) server.on('request', listener);
      });
    },
    close: ({ drainMs = config.drainMs } = {}) => (closing ??= close(drainMs)),
  };
}

/** The application that made the server may do what its own code does. */
const SERVER_ITSELF: Identity = { kind: 'key', roles: ['admin'], keyName: 'in-process', development: true };
