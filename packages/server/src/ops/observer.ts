/**
 * What hub, transports and view tell of themselves, turned into log lines and metrics: one object whose functions have
 * the shape in which those rooms want to be heard. Judges nothing and changes nothing.
 */
import { codeStatuses, TidewayError, timing, type Code } from '@tideway/protocol';
import type { Identity } from '../auth/identity.ts';
import type { Env } from '../env.ts';
import type { Refusal } from '../hub/refusal.ts';
import type { Session } from '../hub/session.ts';
import { TailError, type Commit, type LogHealth } from '../log/log.ts';
import type { ViewTrouble } from '../view/life.ts';
import { StoreError } from '../view/store.ts';
import type { ReferRequest } from '../transport/request-refusal.ts';
import { partitionsDown } from './health.ts';
import type { LogEvent } from './logger-events.ts';
import type { LogFields, Logger } from './logger.ts';
import type { Metrics } from './metrics.ts';

export type Transport = 'websocket' | 'sse' | 'http' | 'local' | 'link';

/** Where a connection comes from, as far as its transport knows. */
export interface Remote {
  readonly remoteAddress?: string | undefined;
  readonly origin?: string | undefined;
}

/** The log takes records in fewer partitions than before, or in more. */
export interface LogChange {
  readonly state: 'down' | 'up';
  readonly health: LogHealth;
  readonly message?: string | undefined;
}

export interface Observer {
  /** A request of a session was refused; returns the reference for its error frame. */
  refused(session: Session, refusal: Refusal, op: string, channel: string | undefined): string;
  /** An HTTP request was refused; returns the reference for its answer. */
  requestRefused: ReferRequest;
  opened(session: Session, remote?: Remote): void;
  closed(session: Session, code: Code | 'peer', detail: string): void;
  /** A connection was turned away at the door. */
  connectionRefused(why: LogFields): void;
  /** Times how long it takes to find out who somebody is. */
  authenticating(transport: Transport, run: () => Promise<Identity>): Promise<Identity>;
  /** Something of ours threw where nothing may. */
  trouble(error: unknown): void;
  /** A function of the application threw. */
  callbackFailed(message: string, cause: unknown): void;
  /** A call of a method of this node was answered: `ok`, or a code. */
  carriedOut(method: string, result: string, durationMs: number): void;
  viewTrouble(trouble: ViewTrouble): void;
  logChanged(change: LogChange): void;
  committed(commit: Commit): void;
}

const VIEW_EVENTS = {
  store_failed: 'view.failed',
  store_recovered: 'view.recovered',
  store_set_aside: 'view.rebuilt',
  view_rebuilt: 'view.rebuilt',
  forerunner_failed: 'view.forerunner_failed',
  tail_ended: 'log.tail_ended',
  clock_in_doubt: 'view.clock_in_doubt',
  follower_failed: 'fault.caught',
  upkeep_failed: 'view.upkeep_failed',
} as const satisfies Readonly<Record<ViewTrouble['event'], LogEvent>>;

export function createObserver(parts: {
  readonly env: Env;
  readonly logger: Logger;
  readonly metrics: Metrics;
}): Observer {
  const { env, logger, metrics } = parts;
  const logDown = metrics.logDown.of();
  const commitSeconds = metrics.commitSeconds.of();
  const batchRecords = metrics.batchRecords.of();
  const connectionsRefused = metrics.connectionsRefused.of();

  function refer(refusal: Refusal, event: LogEvent, fields: LogFields): string {
    metrics.errors.of(refusal.code).value += 1;
    return logger.refer(event, { code: refusal.code, message: refusal.logged ?? refusal.message, ...fields });
  }

  return {
    refused(session, refusal, op, channel) {
      return refer(refusal, eventOf(refusal.code, op), { ...sessionFields(session), op, channel });
    },

    requestRefused(failure, { path, method, channel, identity, remoteAddress, cause }) {
      const event = eventOf(failure.code, opOf(failure.code, path, method));
      // A refusal is thrown, too, but it is no fault: its message says it all.
      const fault = cause === undefined || cause instanceof TidewayError ? {} : errorFields(cause, failure.message);
      return refer(failure, event, {
        transport: 'http',
        remoteAddress,
        path,
        channel,
        ...identityFields(identity),
        ...fault,
      });
    },

    opened(session, remote = {}) {
      metrics.sessionsOpened.of(session.connection.transport).value += 1;
      logger.log('session.opened', { ...sessionFields(session), ...remote });
    },

    closed(session, code, detail) {
      metrics.sessionsClosed.of(session.connection.transport, code).value += 1;
      logger.log('session.closed', { ...sessionFields(session), code, message: detail });
    },

    connectionRefused(why) {
      connectionsRefused.value += 1;
      logger.log('connections.refused', why);
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
        // What the client is told has no cause; the log does.
        if (error instanceof TidewayError) {
          done(error.code);
          if (error.cause !== undefined && error.code === 'internal')
            logger.log('callback.failed', errorFields(error.cause, error.message));
          throw error;
        }
        done('internal');
        logger.log('fault.caught', errorFields(error));
        throw new TidewayError('internal', 'a fault in the server; its log has the reference', {
          cause: error,
          retryMs: timing.retryMs,
        });
      }
    },

    trouble: (error) => logger.log('fault.caught', errorFields(error)),
    callbackFailed: (message, cause) => logger.log('callback.failed', errorFields(cause, message)),
    carriedOut(method, result, durationMs) {
      metrics.calls.of(method, result).value += 1;
      metrics.callSeconds.of(method).observe(durationMs / 1000);
    },
    viewTrouble: ({ event, message, error }) =>
      logger.log(VIEW_EVENTS[event], { message, stack: isForeseen(error) ? undefined : (error as Error).stack }),

    committed({ records, durationMs }) {
      commitSeconds.observe(durationMs / 1000);
      batchRecords.observe(records);
    },

    logChanged({ state, health, message }) {
      if (state === 'down') logDown.value++;
      logger.log(state === 'down' ? 'log.down' : 'log.up', { message, ...partitionsDown(health) });
    },
  };
}

/** A refusal's kind: ours to repair, or the client's. */
function eventOf(code: Code, op: string): LogEvent {
  if (code === 'internal') return 'request.failed';
  if (code === 'unconfirmed') return 'append.unconfirmed';
  if (code === 'unanswered') return 'call.unanswered';
  if (op === 'append') return 'append.refused';
  if (op === 'connection') return 'session.ended';
  return op === 'hello' || op === 'token' ? 'session.refused' : 'request.refused';
}

/** The frame that would have asked for what a request asks for. */
function opOf(code: Code, path: string, method: string | undefined): string {
  if (codeStatuses[code] === 401 || path === '/v1/ws') return 'hello';
  return method === 'POST' && (path === '/v1/records' || path === '/v1/batch') ? 'append' : '';
}

function sessionFields({ id, connection, identity }: Session): LogFields {
  return { session: id, transport: connection.transport, ...identityFields(identity) };
}

function identityFields(identity: Identity | undefined): LogFields {
  return { user: identity?.user, keyName: identity?.keyName };
}

function errorFields(error: unknown, message?: string): LogFields {
  if (error === undefined) return { message };
  if (!(error instanceof Error))
    return { message: message ?? `something was thrown that is no Error: ${typeof error}` };
  return { message: message === undefined ? error.message : `${message}: ${error.message}`, stack: error.stack };
}

/** What disks and logs do now and then: the message is enough. */
function isForeseen(error: unknown): boolean {
  if (!(error instanceof Error)) return true;
  return error instanceof TailError || error instanceof StoreError || 'code' in error;
}
