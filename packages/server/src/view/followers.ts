/**
 * Who is told what the view applied: the followers of each channel, and those who wait for a position. Whoever throws
 * when told harms nobody else.
 */
import type { Env } from '../env.ts';
import type { Position } from '../log/log.ts';
import type { Follower } from './view.ts';

export class Followers {
  readonly #byChannel = new Map<string, Set<Follower>>();
  readonly #onFailure: (error: unknown) => void;

  constructor(onFailure: (error: unknown) => void) {
    this.#onFailure = onFailure;
  }

  /** Channels that somebody follows. */
  get size(): number {
    return this.#byChannel.size;
  }

  has(channel: string): boolean {
    return this.#byChannel.has(channel);
  }

  channels(): Iterable<string> {
    return this.#byChannel.keys();
  }

  /** The follower is told from now on, until the returned function is called. */
  add(channel: string, follower: Follower): () => void {
    let followers = this.#byChannel.get(channel);
    if (followers === undefined) {
      followers = new Set();
      this.#byChannel.set(channel, followers);
    }
    const joined = followers;
    joined.add(follower);
    return () => {
      joined.delete(follower);
      if (joined.size === 0 && this.#byChannel.get(channel) === joined) this.#byChannel.delete(channel);
    };
  }

  tell(channel: string, what: (follower: Follower) => void): void {
    const followers = this.#byChannel.get(channel);
    if (followers === undefined) return;
    for (const follower of followers) this.guard(() => what(follower));
  }

  guard(call: () => void): void {
    try {
      call();
    } catch (error) {
      this.#onFailure(error);
    }
  }
}

/** Those who wait until a position is applied, each with a deadline. */
export class Arrivals {
  readonly #env: Env;
  #waiting: { readonly position: Position; readonly end: (arrived: boolean) => void }[] = [];

  constructor(env: Env) {
    this.#env = env;
  }

  /** Resolves true when the position is applied, false when the deadline passes first. */
  wait(position: Position, deadlineMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const one = {
        position,
        end: (arrived: boolean) => {
          cancel();
          resolve(arrived);
        },
      };
      const cancel = this.#env.setTimer(deadlineMs, () => {
        this.#waiting = this.#waiting.filter((other) => other !== one);
        resolve(false);
      });
      this.#waiting.push(one);
    });
  }

  /** Everything up to `position` is applied. */
  arrived(position: Position): void {
    if (this.#waiting.length === 0) return;
    const waiting = this.#waiting;
    this.#waiting = waiting.filter((one) => one.position > position);
    for (const one of waiting) if (one.position <= position) one.end(true);
  }

  /** Nothing more will arrive. */
  close(): void {
    for (const one of this.#waiting.splice(0)) one.end(false);
  }
}
