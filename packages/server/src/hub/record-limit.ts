/**
 * The largest record that can be stored (PROTOCOL.md LIM-2): what a namespace allows, as far as the log takes it. Asked
 * anew each time: what a broker takes is known once it was reached, and may be another number after it was away.
 */
import type { Backbone, RemoteBackbone } from './backbone.ts';
import type { NamespaceRules, Policy } from './policy.ts';

export class RecordLimit {
  readonly #policy: Policy;
  readonly #durable: Backbone | RemoteBackbone;

  constructor(policy: Policy, durable: Backbone | RemoteBackbone) {
    this.#policy = policy;
    this.#durable = durable;
  }

  /** Of the log, whatever namespaces say. */
  get ofLog(): number {
    return 'log' in this.#durable ? this.#durable.log.declares.recordBytesMax : this.#durable.recordBytesMax();
  }

  /** Of a namespace. A log in memory takes whatever one may allow, and stands beside no log that takes less. */
  of({ recordBytes }: NamespaceRules): number {
    return Math.min(recordBytes, this.ofLog);
  }

  /** Of any namespace; 0 where there is none. */
  get largest(): number {
    return Math.max(0, ...this.#policy.appendable.map((rules) => this.of(rules)));
  }
}
