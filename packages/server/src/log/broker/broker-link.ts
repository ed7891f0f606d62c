/**
 * The connection to a broker: made, lost, made again with back-off and jitter, for as long as the log is open. Says
 * whether it is up; knows no record.
 */
import { formatEpoch } from '@tideway/protocol';
import { randomFraction, type Env } from '../../env.ts';
import { BrokerError, type BrokerPort, type StoredConstants } from './broker-port.ts';

/** What of the constants is given and not made up. */
export interface WantedConstants {
  readonly partitions: number | undefined;
  readonly window: number | undefined;
}

export interface LinkEvents {
  /** Connected, with the constants that the broker keeps; they fit those of before. */
  onUp(stored: StoredConstants): void;
  /** Lost, or not to be made; called again in the same outage where the reason becomes a final one. */
  onDown(error: Error): void;
}

export const PARTITIONS = 8;
export const WINDOW = 65_536;
const BACK_OFF_MS = 100;
const BACK_OFF_MS_MAX = 5_000;
/** A refusal that only somebody's action can change is not worth a try every few seconds. */
const FINAL_BACK_OFF_MS = 30_000;

export class BrokerLink {
  readonly #port: BrokerPort;
  readonly #env: Env;
  readonly #events: LinkEvents;
  /** What the configuration says, then what the log turned out to have. */
  #wanted: WantedConstants;
  #state: 'new' | 'connecting' | 'up' | 'waiting' | 'closed' = 'new';
  #failures = 0;
  #error: Error | undefined;
  #cancelWait: (() => void) | undefined;
  /** Settles with the next success, or rejects once nothing more is tried. */
  #up = Promise.withResolvers<void>();

  constructor(port: BrokerPort, env: Env, wanted: WantedConstants, events: LinkEvents) {
    this.#port = port;
    this.#env = env;
    this.#wanted = wanted;
    this.#events = events;
    this.#up.promise.catch(() => undefined);
    port.onDown = (error) => this.lost(error);
  }

  get isUp(): boolean {
    return this.#state === 'up';
  }

  /** Why it is down. */
  get error(): Error | undefined {
    return this.#error;
  }

  /** Connects; tries again, and again, until it is up or closed. */
  start(): void {
    this.#connect().then(
      (stored) => this.#events.onUp(stored),
      (error: unknown) => {
        if (!this.#isClosed) this.#tryLater(error instanceof Error ? error : new Error(String(error)));
      },
    );
  }

  /** The connection is gone, or what stands behind it is another log. */
  lost(error: Error): void {
    if (this.#state === 'connecting') {
      this.#error = error;
      this.#state = 'waiting';
      return;
    }
    if (this.#state !== 'up') return;
    this.#up = Promise.withResolvers<void>();
    this.#up.promise.catch(() => undefined);
    this.#tryLater(error);
  }

  /** Resolves when it is up; rejects once the log is closed. */
  whenUp(): Promise<void> {
    return this.#up.promise;
  }

  /** What is known before the first connection: what the broker keeps must fit it. */
  expect(wanted: WantedConstants): void {
    this.#wanted = wanted;
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#state = 'closed';
    this.#cancelWait?.();
    this.#up.reject(new Error('the log is closed'));
    await this.#port.close();
  }

  /** A method, so that the compiler does not take the state of before an await for that of after it. */
  get #isClosed(): boolean {
    return this.#state === 'closed';
  }

  async #connect(): Promise<StoredConstants> {
    this.#state = 'connecting';
    const stored = await this.#port.connect(this.#fresh());
    if (this.#isClosed) throw new Error('the log was closed meanwhile');
    this.#assertFits(stored);
    // The connection may be lost again in the same breath.
    if (this.#state !== 'connecting') throw this.#error ?? new Error('the connection was lost at once');
    this.#wanted = { partitions: stored.partitions.length, window: stored.window };
    this.#state = 'up';
    this.#failures = 0;
    this.#error = undefined;
    this.#up.resolve();
    return stored;
  }

  #tryLater(error: Error): void {
    const isFinal = error instanceof BrokerError && error.isFinal;
    const most = isFinal ? FINAL_BACK_OFF_MS : Math.min(BACK_OFF_MS_MAX, BACK_OFF_MS * 2 ** this.#failures++);
    this.#state = 'waiting';
    this.#cancelWait = this.#env.setTimer(most * (0.5 + randomFraction(this.#env) / 2), () => this.start());
    this.#note(error);
  }

  #note(error: Error): void {
    const before = this.#error;
    this.#error = error;
    const turnedFinal = error instanceof BrokerError && error.isFinal && before?.message !== error.message;
    if (before === undefined || turnedFinal) this.#events.onDown(error);
  }

  /** Epochs are new each time: a log that was lost and is made again is another one. */
  #fresh(): StoredConstants {
    return {
      format: 1,
      window: this.#wanted.window ?? WINDOW,
      partitions: Array.from({ length: this.#wanted.partitions ?? PARTITIONS }, () => ({
        epoch: formatEpoch(this.#env.randomBytes(6)),
      })),
    };
  }

  #assertFits({ format, partitions, window }: StoredConstants): void {
    const { place } = this.#port;
    if (format !== 1) {
      throw new BrokerError(`the log on ${place} has format ${String(format)}; this version knows 1`, {
        isFinal: true,
      });
    }
    const wanted = this.#wanted;
    if (wanted.partitions !== undefined && wanted.partitions !== partitions.length) {
      throw constantsError(place, 'partitions', partitions.length, wanted.partitions);
    }
    if (wanted.window !== undefined && wanted.window !== window) {
      throw constantsError(place, 'a window of', window, wanted.window);
    }
  }
}

function constantsError(place: string, what: string, stored: number, wanted: number): BrokerError {
  const [is, was] = what === 'partitions' ? [`${stored} partitions`, wanted] : [`${what} ${stored} records`, wanted];
  const message = `the log on ${place} was made with ${is}, asked for are ${was}: this is fixed when a log is made`;
  return new BrokerError(message, { isFinal: true });
}
