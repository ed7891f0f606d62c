/** A promise that is not waited for longer than a deadline. */
import { nodeEnv } from '../../env.ts';

/** Rejects with `late()` once the time is over; what the promise then still becomes is nobody's business. */
export function within<T>(promise: Promise<T>, deadlineMs: number, late: () => Error): Promise<T> {
  return new Promise((resolve, reject) => {
    const cancel = nodeEnv.setTimer(deadlineMs, () => reject(late()));
    promise.finally(cancel).then(resolve, reject);
  });
}
