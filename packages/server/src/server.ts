/**
 * `createServer`: reads like a table of contents. Log, view, hub and transports start in this order and stop in the
 * reverse; what each does is in its own room.
 */
import type { Client } from '@tideway/client';
import { connectIn } from '@tideway/client/custom-env';
import { limits, type Contract } from '@tideway/protocol';
import { createClientSide } from './auth/forwarded.ts';
import { isSameParty, type Identity } from './auth/identity.ts';
import { createOriginPolicy } from './auth/origin.ts';
import { createPermissions } from './auth/permissions.ts';
import { createTickets, openTicketKey, sharedTicketKey, ticketKeyMark } from './auth/tickets.ts';
import { createTurnstile } from './auth/turnstile.ts';
import { Commands } from './hub/commands.ts';
import { Hub, STARTS_AT_ONCE } from './hub/hub.ts';
import type { Session } from './hub/session.ts';
import type { LogHealth } from './log/log.ts';
import { ConfigError } from './ops/config-values.ts';
import { resolveConfig, type ServerOptions } from './ops/config.ts';
import { watchDescriptors } from './ops/descriptors.ts';
import { createHealth } from './ops/health.ts';
import { createLineWriter } from './ops/logger-format.ts';
import { createLogger } from './ops/logger.ts';
import { watchHub } from './ops/metrics-hub.ts';
import { createNamespaceMetrics } from './ops/metrics-namespaces.ts';
import { watchProcess } from './ops/metrics-process.ts';
import { createMetrics, METRICS_CONTENT_TYPE } from './ops/metrics.ts';
import { createObserver, type LogChange } from './ops/observer.ts';
import { attach } from './server/attach.ts';
import { awake } from './server/awake.ts';
import { openBackbones } from './server/backbones.ts';
import { Calls } from './server/calls.ts';
import { joinCluster } from './server/cluster.ts';
import { makeConfiguredFolders, readConfigured } from './server/configured-files.ts';
import { drainSessions } from './server/drain.ts';
import { createFront, type Fallback } from './server/front.ts';
import { createInProcessEnv } from './server/in-process.ts';
import { listen, type Listener } from './server/listener.ts';
import { Methods } from './server/methods.ts';
import type { Inside, NodeParts } from './server/node-parts.ts';
import type { Server } from './server/server-contract.ts';
import { SessionCredentials } from './server/session-credentials.ts';
import { SessionRoom } from './server/session-room.ts';
import { startVitals, tellFigures } from './server/vitals.ts';
import type { Request } from './transport/exchange.ts';
import { createHttpApi } from './transport/http-api.ts';
import type { Reading } from './transport/http-records.ts';
import { LongReads } from './transport/long-reads.ts';
import { Pipelines } from './transport/pipelines.ts';
import { createEventStreams } from './transport/sse.ts';
import { createWebSocketTransport } from './transport/websocket.ts';
import { serverName, version } from './version.ts';

/**
 * Opens the log and the view and makes a server that is ready to listen.
 *
 * @throws ConfigError naming each wrong key, its value and what is allowed; Error in words when the log cannot be opened
 * @example const server = await createServer({ namespaces: { chat: { subscribe: 'user', append: 'user' } } });
 */
export async function createServer<const C extends Contract = Contract>(
  options: ServerOptions & { readonly contract?: C | undefined } = {},
): Promise<Server<C>> {
  if (options.workers !== undefined && options.workers > 0) {
    const message = `workers: ${options.workers} is not allowed in a program that makes its server itself, which cannot be started once more; "tideway serve --workers ${options.workers}" is`;
    throw new ConfigError([{ key: 'workers', message }]);
  }
  return (await createNode<C>(options)).server;
}

/** Makes a server, alone or as a process of several. */
export async function createNode<const C extends Contract = Contract>(
  options: ServerOptions & { readonly contract?: C | undefined },
  parts: NodeParts = {},
): Promise<{ readonly server: Server<C>; readonly inside: Inside }> {
  const config = resolveConfig(options);
  const { env } = config;
  const { worker } = parts;

  // What it tells about itself
  const write = config.logger ?? createLineWriter(config.logFormat);
  const logger = createLogger({
    env,
    level: config.logLevel,
    write: worker === undefined ? write : (line) => write({ ...line, worker }),
  });
  const authenticator = await readConfigured(options, config, ({ source, message }) =>
    logger.log('auth.jwks_failed', { url: source, message }),
  );
  await makeConfiguredFolders(options, config);
  const namespaces = Object.keys(config.namespaces);
  const metrics = createMetrics(namespaces);
  const renderMetrics = (): string => metrics.render();
  const health = createHealth({ version });
  const measures = createNamespaceMetrics(metrics, namespaces);
  const observer = createObserver({ env, logger, metrics });
  const stopWatchingProcess = watchProcess(metrics, config.data);
  const stopWatchingDescriptors = watchDescriptors({ env, logger });

  // Who may what
  const clientSide = createClientSide(config.trustedProxies);
  const policy = createPermissions({ ...config, onFailed: observer.callbackFailed });
  const ticketKey = parts.ticketKey ?? sharedTicketKey(config.auth) ?? (await openTicketKey(config.data, env));
  const tickets = createTickets({ key: ticketKey, env });
  const credentials = new SessionCredentials(authenticator, clientSide, SERVER_ITSELF);

  // Log, view, hub; what the log says before there is a hub concerns no session and no append of this life
  const later: { hub?: Hub } = {};
  const open = parts.openBackbones ?? ((events) => openBackbones(config, logger, events));
  const backbones = await awake(
    open({
      onLog,
      onVerdict: (ticket, verdict) => later.hub?.backbones.onVerdict(ticket, verdict),
      onBroken: (concerns) => later.hub?.backbones.onBroken(concerns),
      onViewTrouble: observer.viewTrouble,
      onTrouble: observer.trouble,
      onCommit: observer.committed,
      onTrimmed: measures.onTrimmed,
    }),
  );
  const hub: Hub = new Hub({
    env,
    durable: backbones.durable,
    memory: backbones.memory,
    policy,
    outboxBytesMax: config.limits.outboxBytes,
    outboxBytesTotal: config.limits.outboxBytesTotal,
    starts: createTurnstile(STARTS_AT_ONCE),
    ringBytesTotal: config.limits.ringBytesTotal,
    onAppended: ({ channel }, result, durationMs) => measures.onAppended(channel, result, durationMs),
    onTrouble: observer.trouble,
    measures,
  });
  later.hub = hub;
  setLog({ partitions: backbones.partitions, down: health.log.down });
  health.watchFilling(() => hub.backbones.toFill);
  watchHub(metrics, hub, health, () => 1 + cluster.peers().length);
  const room = new SessionRoom(hub, config.limits);
  const commands = new Commands(hub, {
    authenticate: (session, token) =>
      observer.authenticating(session.connection.transport, () => credentials.identify(session, token)),
    isSameParty,
    admit: (_session, identity) => room.whenUserFull(identity),
    about: {
      pingMs: config.pingMs,
      server: serverName,
      limits: {
        channelsPerFrame: limits.channelsPerFrame,
        subscriptions: config.limits.subscriptions,
        pageRecords: limits.pageRecords,
        batchItems: limits.batchItems,
      },
    },
    refer: observer.refused,
    appendsPerSecond: config.limits.appendsPerSecond,
    signalsPerSecond: config.limits.signalsPerSecond,
    relaySignal: (signal) => cluster.signal(signal),
    callsPerSecond: config.limits.callsPerSecond,
    carryOut: (call, gone) => calls.carryOut(call, gone),
  });

  // Calls, and the other nodes
  const methods = new Methods({
    env,
    methods: config.calls,
    bytesMax: () => commands.calls.bytesMax,
    onFailed: observer.callbackFailed,
  });
  const calls: Calls = new Calls({
    methods,
    elsewhere: (call, gone) => cluster.call(call, gone),
    monotonicMs: () => env.monotonicMs(),
    onCarriedOut: observer.carriedOut,
  });
  const cluster = joinCluster({
    env,
    signals: parts.signals ?? backbones.signals,
    version,
    sessions: () => hub.sessions.size,
    ticketKeyMark: ticketKeyMark(ticketKey),
    methods: methods.names,
    recordBytesMax: () => hub.recordLimit.ofLog,
    events: {
      onSignal: (signal) => hub.signal(signal),
      onCall: (call, gone) => calls.serve(call, gone),
      onDisconnect(user) {
        return disconnectHere(user);
      },
      onPeer: (event, { node }) => logger.log(event, { node }),
      onOtherTicketKey: ({ node }) => logger.log('node.other_ticket_key', { node, message: OTHER_TICKET_KEY }),
    },
    onTrouble: observer.trouble,
  });

  // Transports
  const sessionParts = { env, hub, commands, faults: config.faults, onClosed: observer.closed };
  const onOpened = (session: Session, request: Request): void => {
    credentials.opened(session, request);
    observer.opened(session, { remoteAddress: clientSide(request).remoteAddress, origin: request.headers.origin });
  };
  const webSockets = createWebSocketTransport({
    ...sessionParts,
    onOpened,
    onTrouble: observer.trouble,
    pingMs: config.pingMs,
    helloMs: config.helloMs,
  });
  const streams = createEventStreams({ ...sessionParts, onOpened, room });
  const longReads = new LongReads(hub);
  const reading: Reading = {
    hub,
    feeds: backbones.durable.view.feeds,
    longReads,
    pages: createTurnstile(PAGES_AT_ONCE),
    ...(parts.feedElsewhere && { feedElsewhere: parts.feedElsewhere }),
  };
  const pipelines = new Pipelines();
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
      reading,
      authenticate: (credentials) => observer.authenticating('http', () => authenticator.authenticate(credentials)),
      origins,
      clientSide,
      tickets,
      health,
      renderMetrics: parts.renderMetrics ?? renderMetrics,
      metricsContentType: METRICS_CONTENT_TYPE,
      disconnect: disconnectAll,
      faults: config.faults,
      refer: observer.requestRefused,
      whenLeaving: () => room.whenLeaving(),
    });
    const refer = observer.requestRefused;
    return createFront({ env, slices: hub.slices, api, webSockets, pipelines, origins, clientSide, room, refer });
  }

  /** Whom it concerns is told that what is shown may be stale, or is true again (CLS-1). */
  function onLog(change: LogChange): void {
    observer.logChanged(change);
    setLog(change.health);
  }

  function setLog(log: LogHealth): void {
    health.setLog(log);
    later.hub?.log.set(log);
  }

  /** Here, and on the other nodes. */
  async function disconnectAll(user: string): Promise<number> {
    const elsewhere = cluster.disconnect(user);
    return disconnectHere(user) + (await elsewhere);
  }

  function disconnectHere(user: string): number {
    tickets.revoke(user);
    const concerned = [...hub.sessions].filter(({ identity }) => identity?.user === user);
    for (const session of concerned)
      commands.replies.close(session, 'disconnected', 'the server ended all sessions of this user');
    if (concerned.length > 0) logger.log('session.disconnected', { user, count: concerned.length });
    return concerned.length;
  }

  // In process: the SDK on a wire that is a function call
  const complain = (error: unknown): void => observer.callbackFailed('in this process', error);
  const client = connectIn(createInProcessEnv({ env, hub, commands, complain, reading, identity: SERVER_ITSELF }), {
    url: 'http://in-process',
    transport: 'websocket',
  });
  const stopVitals =
    parts.tellFigures === undefined
      ? startVitals({ env, hub, policy, health, workers: parts.workerFigures })
      : tellFigures(env, hub, parts.tellFigures);

  const listeners: Listener[] = [];
  const attached: (() => void)[] = [];
  let closing: Promise<void> | undefined;
  health.setState('ready');
  logger.log('server.started', { version });

  async function close(drainMs: number): Promise<void> {
    health.setState('draining');
    logger.log('server.stopping');
    longReads.stop();
    cluster.leave();
    await drainSessions({
      env,
      hub,
      commands,
      streams,
      logger,
      hasOthers: () => cluster.peers().length > 0,
      // Nobody balances between workers by what one of them says.
      noticeMs: worker === undefined ? config.noticeMs : 0,
      drainMs,
      onLeaving: () => void (room.isLeaving = true),
    });
    client.close();
    stopVitals();
    await hub.drained();
    calls.close();
    cluster.close();
    webSockets.stop();
    streams.stop();
    await Promise.all(listeners.map((listener) => listener.close()));
    for (const detach of attached) detach();
    await backbones.close();
    stopWatchingProcess();
    stopWatchingDescriptors();
    health.setState('stopped');
    logger.log('server.stopped');
    logger.flush();
  }

  const server: Server<C> = {
    channel: client.channel.bind(client) as Client<C>['channel'],
    disconnect(user) {
      void cluster.disconnect(user);
      return disconnectHere(user);
    },
    get url() {
      return listeners[0]?.url;
    },
    async listen({ port = config.port, host = config.host, fallback } = {}) {
      const listener = await listen({
        front: door(host),
        fallback: fallback as Fallback | undefined,
        host,
        port,
        isShared: worker !== undefined,
        tls: config.tls,
        env,
        logger,
        onRefused: observer.connectionRefused,
      });
      listeners.push(listener);
      logger.log('server.listening', { url: listener.url, port: listener.port });
      return { url: listener.url, port: listener.port };
    },
    attach(server) {
      attached.push(attach(door(undefined), server));
    },
    close: ({ drainMs = config.drainMs } = {}) => (closing ??= close(drainMs)),
  };
  return {
    server,
    inside: {
      config,
      env,
      logger,
      hub,
      health,
      ticketKey,
      reading,
      leave: () => cluster.leave(),
      renderMetrics,
      onTrouble: observer.trouble,
    },
  };
}

/** Pages of history that are made at the same time. */
const PAGES_AT_ONCE = 4;

const OTHER_TICKET_KEY =
  'tickets of this node are refused there, and those of that node here: set the same auth.ticketSecret on all nodes';

/** The application that made the server may do what its own code does. */
const SERVER_ITSELF: Identity = { kind: 'key', roles: ['admin'], keyName: 'in-process', development: true };
