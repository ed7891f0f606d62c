/**
 * What hub, transports and view tell of themselves, turned into log lines and metrics: one object whose functions have
 * the shape in which those rooms want to be heard. Judges nothing and changes nothing.
 */
import { codes, namespaceOf, TidewayError, type Code } from '@tideway/protocol';
import type { Identity } from '../auth/identity.ts';
import type { Env } from '../env.ts';
import type { Refusal } from '../hub/admission.ts';
import type { Appended } from '../hub/appender.ts';
import type { Hub } from '../hub/hub.ts';
import type { Session } from '../hub/session.ts';
import type { PhysicalRecord } from '../log/log.ts';
import type { ViewTrouble } from '../view/life.ts';
import type { Health } from './health.ts';
import type { LogEvent } from './logger-events.ts';
import type { LogFields, Logger } from './logger.ts';
import { type Histogram, type Cell, OTHER_NAMESPACE, type Metrics } from './metrics.ts';

export type Transport = 'websocket' | 'sse' | 'http' | 'local';

/** Where a connection comes from, as far as its transport knows. */
export interface Remote {
  readonly remoteAddress?: string | undefined;
  readonly origin?: string | undefined;
}

export interface Observer {
  /** A request of a session was refused; returns the reference for its error frame. */
  refused(session: Session, refusal: Refusal, op: string, channel: string | undefined): string;
  /** An HTTP request was refused; returns the reference for its answer. `cause` is what was thrown, if anything was. */
  requestRefused(failure: Refusal, path: string, cause?: unknown): string;
  opened(session: Session, remote?: Remote): void;
  closed(session: Session, code: Code | 'peer', detail: string): void;
  /** Times how long it takes to find out who somebody is. */
  authenticating(transport: Transport, run: () => Promise<Identity>): Promise<Identity>;
  appended(record: PhysicalRecord, result: Appended, durationMs: number): void;
  /** Something threw where nothing may: the application's function, or ours. */
  trouble(error: unknown): void;
  viewTrouble(trouble: ViewTrouble): void;
  /** Reads the hub's own figures at each scrape. */
  watch(hub: Hub, health: Health): void;
}

const VIEW_EVENTS = {
  store_failed: 'view.failed',
  store_recovered: 'view.recovered',
  store_set_aside: 'view.rebuilt',
  view_rebuilt: 'view.rebuilt',
  tail_ended: 'log.tail_ended',
  clock_in_doubt: 'view.clock_in_doubt',
  follower_failed: 'callback.failed',
  upkeep_failed: 'view.upkeep_failed',
} as const satisfies Readonly<Record<ViewTrouble['event'], LogEvent>>;

export function createObserver(parts: {
  readonly env: Env;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Namespaces of the configuration. */
  readonly namespaces: readonly string[];
}): Observer {
  const { env, logger, metrics } = parts;
  const known = new Set(parts.namespaces);
  // The path of every append: cells are looked up once per namespace.
  const appends = new Map<string, { readonly seconds: Histogram; readonly stored: Cell; readonly duplicate: Cell }>();

  function appendCells(namespace: string) {
    let cells = appends.get(namespace);
    if (cells === undefined) {
      cells = {
        seconds: metrics.appendSeconds.of(namespace),
        stored: metrics.appends.of(namespace, 'stored'),
        duplicate: metrics.appends.of(namespace, 'duplicate'),
      };
      appends.set(namespace, cells);
    }
    return cells;
  }

  function refer(refusal: Refusal, event: LogEvent, fields: LogFields): string {
    metrics.errors.of(refusal.code).value += 1;
    return logger.refer(event, { code: refusal.code, message: refusal.message, ...fields });
  }

  return {
    refused(session, refusal, op, channel) {
      return refer(refusal, eventOf(refusal.code, op), { ...sessionFields(session), op, channel });
    },

    requestRefused(failure, path, cause) {
      const event = codes[failure.code].http === 401 ? 'session.refused' : eventOf(failure.code, '');
      return refer(failure, event, { transport: 'http', path, ...errorFields(cause, failure.message) });
    },

    opened(session, remote = {}) {
      metrics.sessionsOpened.of(session.connection.transport).value += 1;
      logger.log('session.opened', { ...sessionFields(session), ...remote });
    },

    closed(session, code, detail) {
      metrics.sessionsClosed.of(session.connection.transport, code).value += 1;
      logger.log('session.closed', { ...sessionFields(session), code, message: detail });
    },

    async authenticating(transport, run) {
      const startMs = env.monotonicMs();
      const done = (result: string): void =>
        metrics.helloSeconds.of(transport, result).observe((env.monotonicMs() - startMs) / 1000);
      try {
        const identity = await run();
        done('ok');
        return identity;
      } catch (error) {
        done(error instanceof TidewayError ? error.code : 'internal');
        // What the client is told has no cause; the log does.
        if (!(error instanceof TidewayError)) logger.log('request.failed', errorFields(error));
        else if (error.cause !== undefined && error.code === 'internal')
          logger.log('callback.failed', errorFields(error.cause));
        throw error;
      }
    },

    appended(record, result, durationMs) {
      const namespace = namespaceOf(record.channel);
      const name = known.has(namespace) ? namespace : OTHER_NAMESPACE;
      const cells = appendCells(name);
      if (result.state === 'ok') {
        (result.duplicate ? cells.duplicate : cells.stored).value += 1;
        cells.seconds.observe(durationMs / 1000);
      } else {
        metrics.appends.of(name, result.code).value += 1;
      }
    },

    trouble: (error) => logger.log('callback.failed', errorFields(error)),
    viewTrouble: ({ event, message, error }) => logger.log(VIEW_EVENTS[event], errorFields(error, message)),

    watch(hub, health) {
      metrics.buildInfo.of(health.version).value = 1;
      metrics.onScrape(() => {
        metrics.nodeReady.of().value = health.state === 'ready' ? 1 : 0;
        metrics.nodeDraining.of().value = health.state === 'draining' ? 1 : 0;
        metrics.logUp.of().value = health.isLogUp ? 1 : 0;
        collectSessions(metrics, hub);
        collectFigures(metrics, hub);
      });
    },
  };
}

/** A refusal's kind: ours to repair, or the client's. */
function eventOf(code: Code, op: string): LogEvent {
  if (code === 'internal') return 'request.failed';
  if (code === 'unconfirmed') return 'append.unconfirmed';
  if (op === 'append') return 'append.refused';
  return op === 'hello' || op === 'token' ? 'session.refused' : 'request.refused';
}

function sessionFields(session: Session): LogFields {
  const { identity } = session;
  return {
    session: session.id,
    transport: session.connection.transport,
    user: identity?.user,
    keyName: identity?.keyName,
  };
}

function errorFields(error: unknown, message?: string): LogFields {
  if (error === undefined) return { message };
  if (!(error instanceof Error))
    return { message: message ?? `something was thrown that is no Error: ${typeof error}` };
  return { message: message === undefined ? error.message : `${message}: ${error.message}`, stack: error.stack };
}

function collectSessions(metrics: Metrics, hub: Hub): void {
  const open = { websocket: 0, sse: 0, local: 0 };
  let behind = 0;
  for (const session of hub.sessions) {
    open[session.connection.transport]++;
    if (session.behind.size > 0) behind++;
  }
  for (const [transport, count] of Object.entries(open)) metrics.sessions.of(transport).value = count;
  metrics.outboxBehind.of().value = behind;
}

function collectFigures(metrics: Metrics, hub: Hub): void {
  const { figures } = hub;
  metrics.subscriptions.of().value = hub.subscriptions;
  metrics.channels.of().value = hub.channels;
  metrics.appendsInFlight.of().value = hub.appendsInFlight;
  metrics.ridWindow.of().value = hub.ridWindowMs() / 1000;
  metrics.outboxBytes.of().value = hub.outboxBytes;
  metrics.ringBytes.of().value = hub.ringBytes;
  metrics.framesReceived.of().value = figures.framesReceived;
  metrics.bytesReceived.of().value = figures.bytesReceived;
  metrics.chunksSent.of().value = figures.chunksSent;
  metrics.bytesSent.of().value = figures.bytesSent;
  metrics.socketWrites.of().value = figures.socketWrites;
  metrics.recordsDelivered.of().value = figures.recordsDelivered;
  metrics.signalsDelivered.of().value = figures.signalsDelivered;
  metrics.signalsDropped.of().value = figures.signalsDropped;
  metrics.outboxOverflows.of().value = figures.outboxOverflows;
  metrics.clientGaps.of().value = figures.clientGaps;
  metrics.clientDuplicates.of().value = figures.clientDuplicates;
  metrics.tokenRefreshes.of().value = figures.tokenRefreshes;
  for (const result of ['resumed', 'trimmed', 'diverged', 'epoch']) {
    metrics.resumes.of(result).value = figures.resumes[result] ?? 0;
  }
}
