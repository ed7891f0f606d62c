/** The end of a tick: channels hand out what came in it, then each session makes its one write. */
import { OncePerTick, type Env } from '../env.ts';
import type { LiveChannel } from './live-channel.ts';
import type { Measures } from './measures.ts';
import type { Session } from './session.ts';

export class Tick {
  readonly #env: Env;
  readonly #onHandedOut: (channel: LiveChannel) => void;
  readonly #measures: Measures | undefined;
  #channels: LiveChannel[] = [];
  #sessions: Session[] = [];
  /** When the first records of this tick were applied, and whose were handed out since. */
  #appliedMs = 0;
  #delivered: string[] = [];
  readonly #end: OncePerTick;

  constructor(parts: {
    readonly env: Env;
    /** Everything that came to a channel is in its followers' outboxes. */
    readonly onHandedOut: (channel: LiveChannel) => void;
    readonly measures: Measures | undefined;
  }) {
    this.#env = parts.env;
    this.#end = new OncePerTick(parts.env, () => this.end());
    this.#onHandedOut = parts.onHandedOut;
    this.#measures = parts.measures;
  }

  /** The channel has something to hand out. */
  markChannel(channel: LiveChannel): void {
    if (channel.dirty) return;
    channel.dirty = true;
    if (this.#channels.length === 0) this.#appliedMs = this.#env.monotonicMs();
    this.#channels.push(channel);
    this.#end.schedule();
  }

  /** The session has something to write; said once a tick. */
  markSession(session: Session): void {
    this.#sessions.push(session);
    this.#end.schedule();
  }

  /** Records of the channel were put into an outbox. */
  delivered(channel: string): void {
    this.#delivered.push(channel);
  }

  /** Hands out and writes now. */
  end(): void {
    const channels = this.#channels;
    this.#channels = [];
    for (const channel of channels) {
      channel.flush();
      this.#onHandedOut(channel);
    }
    const sessions = this.#sessions;
    this.#sessions = [];
    for (const session of sessions) session.flush();
    if (this.#delivered.length > 0) this.#tellDelivered();
  }

  #tellDelivered(): void {
    const durationMs = this.#env.monotonicMs() - this.#appliedMs;
    for (const channel of this.#delivered) this.#measures?.onDelivered(channel, durationMs);
    this.#delivered = [];
  }
}
