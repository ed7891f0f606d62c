/** Reads that wait (PROTOCOL.md HTTP-5, FEED-3): until something comes, the time is over, or the reader leaves. */
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

  /**
   * Resolves true once there is something after the place, or the view is not in the life in which the place was found;
   * else false when the time is over or nobody waits any more.
   */
  wait(
    response: Response,
    channel: string,
    at: { readonly place: string; readonly life: object | undefined },
    waitMs: number,
  ): Promise<boolean> {
    return this.waitFor(response, waitMs, (onMoved) => {
      const view = this.#hub.backbones.view(channel);
      if (view.life(channel) !== at.life || view.state(channel).place > at.place) onMoved();
      return view.follow(channel, {
        onRecords: onMoved,
        onFloor: () => {},
        onFilled: () => {},
        onClosed: onMoved,
        onGap: onMoved,
      });
    });
  }

  /**
   * Resolves true at the end of the tick in which `onMoved` was called, else false as `wait` does. Rejects with what
   * `follow` throws.
   *
   * @param follow begins to look, and returns the function that ends it
   */
  waitFor(response: Response, waitMs: number, follow: (onMoved: () => void) => () => void): Promise<boolean> {
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
      // Where this throws there is nothing to take back.
      const unfollow = follow(() => env.endOfTick(() => finish(true)));
      this.#waiting.add(giveUp);
      const cancel = env.setTimer(waitMs, giveUp);
      response.on('close', giveUp);
    });
  }

  /** Answers all that wait now: the server is going away. */
  stop(): void {
    for (const giveUp of [...this.#waiting]) giveUp();
  }
}
