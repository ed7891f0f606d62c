/** Signals between nodes by Redis' publish and subscribe: at most once, never stored. A connection of its own listens. */
import type { RedisConnection } from './redis-connection.ts';

export type SignalListener = (bytes: Buffer) => void;

export class RedisSignals {
  readonly #prefix: string;
  /** By subject; they outlive a connection. */
  readonly #listeners = new Map<string, Set<SignalListener>>();
  #connection: RedisConnection | undefined;

  constructor(name: string) {
    this.#prefix = `${name}:signals:`;
  }

  /** Takes the connection that listens from now on, and listens on it to every subject. */
  async listenOn(connection: RedisConnection): Promise<void> {
    this.#connection = connection;
    connection.redis.on('messageBuffer', (channel: Buffer, bytes: Buffer) => {
      const subject = channel.toString().slice(this.#prefix.length);
      for (const listener of this.#listeners.get(subject) ?? []) listener(bytes);
    });
    const subjects = [...this.#listeners.keys()];
    if (subjects.length > 0) await connection.redis.subscribe(...subjects.map((subject) => this.#prefix + subject));
  }

  /** Sends over a connection for commands. */
  send(connection: RedisConnection, subject: string, bytes: Buffer): void {
    connection.command('PUBLISH', this.#prefix + subject, bytes).catch(() => {});
  }

  async on(subject: string, listener: SignalListener): Promise<() => void> {
    const known = this.#listeners.get(subject);
    const listeners = known ?? new Set();
    listeners.add(listener);
    this.#listeners.set(subject, listeners);
    // Without a connection it is done by the next one.
    if (known === undefined) await this.#connection?.redis.subscribe(this.#prefix + subject).catch(() => {});
    return () => {
      listeners.delete(listener);
      if (listeners.size > 0 || this.#listeners.get(subject) !== listeners) return;
      this.#listeners.delete(subject);
      this.#connection?.redis.unsubscribe(this.#prefix + subject).catch(() => {});
    };
  }

  /** A sign of life; rejects when there is none. */
  async probe(): Promise<void> {
    await this.#connection?.command('ping');
  }
}
