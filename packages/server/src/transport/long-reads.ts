/** Reads that wait (PROTOCOL.md HTTP-5): until a channel moves past a place, the time is over, or the reader leaves. */
import type { Hub } from '../hub/hub.ts';
import type { Response } from './exchange.ts';

export class LongReads {
  readonly #hub: Hub;
  readonly #waiting = new Set<() => void>();

  constructor(hub: Hub) {
    this.#hub = hub;
  }

  get count(): number {
    return this.#waiting.size;
  }

  /** Resolves true once there is something after the place, else false when the time is over or nobody waits any more. */
  wait(response: Response, channel: string, place: string, waitMs: number): Promise<boolean> {
    const { env } = this.#hub;
    return new Promise((resolve) => {
      const finish = (moved: boolean): void => {
        if (!this.#waiting.delete(giveUp)) return;
        unfollow();
        cancel();
        response.off('close', giveUp);
        resolve(moved);
      };
      const giveUp = (): void => finish(false);
      this.#waiting.add(giveUp);
      const cancel = env.setTimer(waitMs, giveUp);
      response.on('close', giveUp);
      const view = this.#hub.view(channel);
      const onMoved = (): void => env.endOfTick(() => finish(true));
      const unfollow = view.follow(channel, {
        onRecords: onMoved,
        onFloor: () => {},
        onClosed: onMoved,
        onGap: onMoved,
      });
      if (view.state(channel).place > place) onMoved();
    });
  }

  /** Answers all that wait now: the server is going away. */
  stop(): void {
    for (const giveUp of [...this.#waiting]) giveUp();
  }
}
