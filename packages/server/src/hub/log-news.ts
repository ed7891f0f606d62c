/**
 * Tells sessions that the log is down (PROTOCOL.md CLS-1): all of them while no partition takes records, else those that
 * follow a channel of one that takes none.
 */
import type { LogHealth } from '../log/log.ts';
import type { LiveChannel } from './live-channel.ts';
import type { Session } from './session.ts';

/** What the news need of the hub around them. */
export interface LogNewsHost {
  readonly sessions: ReadonlySet<Session>;
  liveChannels(): Iterable<LiveChannel>;
  /** The partition of the durable log that holds a channel; `undefined` where another log does. */
  partitionOf(channel: string): number | undefined;
}

export class LogNews {
  readonly #host: LogNewsHost;
  readonly #watchers = new Set<() => void>();
  #health: LogHealth = { partitions: 1, down: [] };
  #down: ReadonlySet<number> = new Set();

  constructor(host: LogNewsHost) {
    this.#host = host;
  }

  get health(): LogHealth {
    return this.#health;
  }

  /** What the log says of itself has changed. */
  set(health: LogHealth): void {
    this.#health = health;
    this.#down = new Set(health.down);
    // By channel, so that nobody's subscriptions are looked through that have none of these.
    const concerned = new Set<Session>();
    for (const channel of this.#isPartlyDown ? this.#host.liveChannels() : []) {
      if (this.#isDown(channel.name)) for (const { session } of channel.subscriptions()) concerned.add(session);
    }
    for (const session of this.#host.sessions) this.#tell(session, this.#isAllDown || concerned.has(session));
    for (const onChange of this.#watchers) onChange();
  }

  /** Called with each change, until the returned function is. */
  watch(onChange: () => void): () => void {
    this.#watchers.add(onChange);
    return () => void this.#watchers.delete(onChange);
  }

  /** The session has begun, or what it follows has changed. */
  look(session: Session): void {
    if (this.#down.size === 0) return;
    const isConcerned = (): boolean => [...session.subscriptions.keys()].some((channel) => this.#isDown(channel));
    this.#tell(session, this.#isAllDown || isConcerned());
  }

  /** The session follows one channel more. */
  lookAt(session: Session, channel: string): void {
    if (this.#isPartlyDown && this.#isDown(channel)) this.#tell(session, true);
  }

  get #isAllDown(): boolean {
    return this.#down.size === this.#health.partitions;
  }

  get #isPartlyDown(): boolean {
    return this.#down.size > 0 && !this.#isAllDown;
  }

  #isDown(channel: string): boolean {
    const partition = this.#host.partitionOf(channel);
    return partition !== undefined && this.#down.has(partition);
  }

  #tell(session: Session, isDown: boolean): void {
    // A link is told all of it in its own way (LNK-2).
    if (session.isToldDown === isDown || session.identity === undefined || session.connection.transport === 'link') {
      return;
    }
    session.isToldDown = isDown;
    session.send({ op: 'log', state: isDown ? 'down' : 'up' });
  }
}
