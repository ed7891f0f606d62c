/** Nodes of one process for tests: a clock that is moved, and signals that reach everybody who is not cut off. */
import { nodeEnv, type Env } from '../../env.ts';
import type { NodeSignals } from '../../log/log.ts';

/** Time that a test moves, shared by all nodes. */
export class Clock {
  ms = 0;
  readonly #timers = new Set<{ readonly atMs: number; readonly callback: () => void }>();

  env(): Env {
    return {
      ...nodeEnv,
      now: () => this.ms,
      monotonicMs: () => this.ms,
      setTimer: (delayMs, callback) => {
        const timer = { atMs: this.ms + delayMs, callback };
        this.#timers.add(timer);
        return () => void this.#timers.delete(timer);
      },
    };
  }

  move(ms: number): void {
    const until = this.ms + ms;
    for (;;) {
      const due = [...this.#timers].filter(({ atMs }) => atMs <= until).sort((a, b) => a.atMs - b.atMs)[0];
      if (due === undefined) break;
      this.#timers.delete(due);
      this.ms = due.atMs;
      due.callback();
    }
    this.ms = until;
  }
}

/** Signals between nodes of one process; a node that is cut off hears and says nothing. */
export class Air {
  readonly #listeners = new Map<string, (bytes: Buffer) => void>();
  readonly cut = new Set<number>();
  #count = 0;

  signals(): NodeSignals {
    const number = this.#count++;
    return {
      signal: (to, bytes) => {
        if (this.cut.has(number)) return;
        for (const [name, listener] of this.#listeners) {
          const [of, node] = name.split(' ');
          if (!this.cut.has(Number(of)) && (to === 'all' || to.node === node)) listener(bytes);
        }
      },
      onSignal: (node, listener) => {
        const name = `${number} ${node}`;
        this.#listeners.set(name, listener);
        return Promise.resolve(() => void this.#listeners.delete(name));
      },
    };
  }
}
