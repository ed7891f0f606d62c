/** Ctrl-C of commands that run until they are told to end: they finish their sentence, a second one ends them at once. */
import { exitCodes } from './exit-codes.ts';

/** Aborted by SIGINT or SIGTERM. */
export function endOnSignal(): AbortSignal {
  const controller = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (controller.signal.aborted) process.exit(exitCodes.interrupted);
      controller.abort();
    });
  }
  return controller.signal;
}
