/** What all rings of a node hold together (ARCHITECTURE.md, The ring and the tick), and who gives way when it is too much. */
import type { Ring } from './ring.ts';

/** A ring, and when it was used last: monotonic milliseconds. */
interface UsedRing {
  readonly ring: Ring;
  readonly usedMs: number;
}

export class RingBudget {
  readonly #bytesMax: number;
  readonly #channels: () => Iterable<UsedRing>;
  bytes = 0;

  constructor(bytesMax: number, channels: () => Iterable<UsedRing>) {
    this.#bytesMax = bytesMax;
    this.#channels = channels;
  }

  /** Whether a ring may take in what was read for one alone. */
  hasRoom(bytes: number): boolean {
    return this.bytes + bytes <= this.#bytesMax / 4;
  }

  /** A ring holds so much more than before. */
  changed(byBytes: number): void {
    this.bytes += byBytes;
    if (byBytes <= 0 || this.bytes <= this.#bytesMax) return;
    // The least recently used rings lose their oldest half until a quarter of the budget is free again.
    const goal = this.#bytesMax * 0.75;
    for (const { ring } of [...this.#channels()].sort((a, b) => a.usedMs - b.usedMs)) {
      if (this.bytes <= goal) return;
      const before = ring.bytes;
      ring.shrink(0, 1);
      this.bytes += ring.bytes - before;
    }
  }
}
