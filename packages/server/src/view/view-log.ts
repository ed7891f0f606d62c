/** What a view asks of its log, and the end of its questions where the start that asks them is given up. */
import { TailError, type Log } from '../log/log.ts';

export type ViewLog = Pick<Log, 'tail' | 'bounds' | 'settled' | 'wantsSettled'>;

/** The same log; what it was asked and has not answered is `unavailable` once `givenUp` is aborted. */
export function untilGivenUp(log: ViewLog, givenUp: AbortSignal): ViewLog {
  return {
    async tail(...how) {
      const starting = log.tail(...how);
      try {
        return await answerUntil(givenUp, starting);
      } catch (error) {
        // One that starts after all gives to nobody.
        starting.then((tail) => tail.stop()).catch(() => {});
        throw error;
      }
    },
    bounds: (partition) => answerUntil(givenUp, log.bounds(partition)),
    settled: (partition, position) => answerUntil(givenUp, log.settled(partition, position)),
    get wantsSettled() {
      return log.wantsSettled;
    },
  };
}

/** Rejects with a `TailError` `unavailable` once it is given up. */
export function answerUntil<T>(givenUp: AbortSignal | undefined, answer: Promise<T>): Promise<T> {
  if (givenUp === undefined) return answer;
  return new Promise((resolve, reject) => {
    const giveUp = (): void => reject(new TailError('unavailable', 'the start was given up'));
    if (givenUp.aborted) giveUp();
    givenUp.addEventListener('abort', giveUp, { once: true });
    answer.then(resolve, reject).finally(() => givenUp.removeEventListener('abort', giveUp));
  });
}
