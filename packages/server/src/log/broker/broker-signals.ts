/** Signals of nodes over a broker: one subject for all, one for each node. */
import type { NodeSignals } from '../log.ts';
import type { BrokerLink } from './broker-link.ts';
import type { BrokerPort } from './broker-port.ts';

const NODE = /^[A-Za-z0-9_-]{1,64}$/;

export class BrokerSignals implements NodeSignals {
  readonly #port: BrokerPort;
  readonly #link: BrokerLink;

  constructor(port: BrokerPort, link: BrokerLink) {
    this.#port = port;
    this.#link = link;
  }

  signal(to: 'all' | { readonly node: string }, bytes: Buffer): void {
    if (this.#link.isUp) this.#port.signal(to === 'all' ? 'all' : subjectOf(to.node), bytes);
  }

  async onSignal(node: string, listener: (bytes: Buffer) => void): Promise<() => void> {
    const own = subjectOf(node);
    await this.#link.whenUp();
    const stops = await Promise.all([this.#port.onSignal('all', listener), this.#port.onSignal(own, listener)]);
    return () => {
      for (const stop of stops) stop();
    };
  }
}

function subjectOf(node: string): string {
  if (!NODE.test(node)) throw new RangeError(`"${node}" is no node's id: 1–64 of A–Z a–z 0–9 _ -`);
  return `node-${node}`;
}
