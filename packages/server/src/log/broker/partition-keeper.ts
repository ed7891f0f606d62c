/** What of a partition may go: what every view that spoke has settled, is out of the window and beyond the budget. */
import type { BrokerPort } from './broker-port.ts';

/** Fewer than this part of what is kept is not worth a call. */
const SHARE = 16;

export class PartitionKeeper {
  readonly #port: BrokerPort;
  readonly #partition: number;
  /** How many records stay at least. */
  readonly #keep: number;
  readonly #newest: () => number;
  /** The number of the last record trimmed, as far as this node has heard. */
  #oldest = 0;
  #settled = 0;
  #trimming: Promise<void> | undefined;

  constructor(port: BrokerPort, partition: number, keep: number, newest: () => number) {
    this.#port = port;
    this.#partition = partition;
    this.#keep = keep;
    this.#newest = newest;
  }

  /** True when something would go if only it were settled. */
  get wantsSettled(): boolean {
    const last = this.#outOfUse();
    return last !== undefined && last > this.#settled;
  }

  heard(bounds: { readonly oldest: number }): void {
    this.#oldest = bounds.oldest;
  }

  async settled(number: number): Promise<void> {
    this.#settled = Math.max(this.#settled, number);
    this.#trimming ??= this.#trim().finally(() => (this.#trimming = undefined));
    await this.#trimming;
  }

  /** The partition is another one. */
  forget(): void {
    this.#oldest = 0;
    this.#settled = 0;
  }

  /** The last record that is beyond the budget, where that is worth a call. */
  #outOfUse(): number | undefined {
    if (this.#port.trim === undefined) return undefined;
    const last = this.#newest() - this.#keep;
    return last - this.#oldest >= Math.max(1, this.#keep / SHARE) ? last : undefined;
  }

  async #trim(): Promise<void> {
    const bounds = await this.#port.bounds(this.#partition);
    this.heard(bounds);
    const last = Math.min(this.#settled, bounds.newest - this.#keep);
    if (last <= bounds.oldest) return;
    await this.#port.trim?.(this.#partition, last);
    this.heard(await this.#port.bounds(this.#partition));
  }
}
