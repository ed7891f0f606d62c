/** Repeatable dice for tests, and what they throw for a simulated world. */
import { Random } from '@tideway/verifier/random';

export class Dice extends Random {
  /** A whole number from 0 to `below` − 1. */
  below(below: number): number {
    return Math.floor(this.fraction() * below);
  }

  chance(probability: number): boolean {
    return this.fraction() < probability;
  }

  bytes(count: number): Uint8Array {
    return Uint8Array.from({ length: count }, () => this.below(256));
  }
}
