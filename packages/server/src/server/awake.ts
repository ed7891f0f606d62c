/** Keeps the process alive while it waits for what keeps nothing open: a broker that is away and tried again by timers. */

/** The longest that a timer of Node.js can be. */
const LONG_MS = 2 ** 31 - 1;

export async function awake<T>(waiting: Promise<T>): Promise<T> {
  const timer = setInterval(() => undefined, LONG_MS);
  try {
    return await waiting;
  } finally {
    clearInterval(timer);
  }
}
