/** What a server spent between two moments, what the generators spent, and what the rest of the machine did meanwhile. */
import { machineCpu, processCpu, type MachineCpu, type ProcessCpu } from './proc.ts';

export interface Spent {
  readonly wallMs: number;
  readonly serverMs: number;
  readonly serverUserMs: number;
  /** The busiest generator, of one core: near 100 it is what was measured, not the server. */
  readonly generatorPercent: number;
  /** Everything that is not the bench's, of all cores. */
  readonly otherPercent: number;
}

/** Above it the generator may have been the bottleneck, and the table says so. */
export const generatorPercentMax = 85;

export class Meter {
  readonly #server: number;
  readonly #generators: readonly number[];
  readonly #startMs = performance.now();
  readonly #machine: MachineCpu = machineCpu();
  readonly #own = processCpu(process.pid);
  readonly #serverStart: ProcessCpu;
  readonly #generatorStarts: readonly ProcessCpu[];

  constructor(server: number, generators: readonly number[]) {
    this.#server = server;
    this.#generators = generators;
    this.#serverStart = processCpu(server);
    this.#generatorStarts = generators.map(processCpu);
  }

  read(): Spent {
    const wallMs = performance.now() - this.#startMs;
    const server = processCpu(this.#server);
    const machine = machineCpu();
    const serverMs = server.totalMs - this.#serverStart.totalMs;
    const generatorsMs = this.#generators.map((pid, i) => processCpu(pid).totalMs - this.#generatorStarts[i]!.totalMs);
    const oursMs = serverMs + sum(generatorsMs) + processCpu(process.pid).totalMs - this.#own.totalMs;
    const otherMs = Math.max(0, machine.busyMs - this.#machine.busyMs - oursMs);
    return {
      wallMs,
      serverMs,
      serverUserMs: server.userMs - this.#serverStart.userMs,
      generatorPercent: (100 * Math.max(0, ...generatorsMs)) / wallMs,
      otherPercent: (100 * otherMs) / Math.max(1, machine.totalMs - this.#machine.totalMs),
    };
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
