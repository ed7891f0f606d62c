/**
 * Lets a few in at a time, the others in the order they came.
 */

export interface Turnstile {
  /** Resolves when there is a place, with the function that gives it back. */
  enter(): Promise<() => void>;
}

export function createTurnstile(places: number): Turnstile {
  let free = places;
  let waiting: (() => void)[] = [];
  let next = 0;

  function leave(): void {
    const first = waiting[next];
    if (first === undefined) {
      free++;
      return;
    }
    next++;
    // Taken from the front without moving the rest each time.
    if (next === waiting.length) {
      waiting = [];
      next = 0;
    }
    first();
  }

  return {
    async enter() {
      if (free > 0) free--;
      else await new Promise<void>((resolve) => void waiting.push(resolve));
      let isInside = true;
      return () => {
        if (isInside) leave();
        isInside = false;
      };
    },
  };
}
