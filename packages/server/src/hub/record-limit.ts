/**
 * The largest record that can be stored (PROTOCOL.md LIM-2): what a namespace allows, as far as the log takes it. Asked
 * anew each time: what a broker takes is known once it was reached, and may be another number after it was away.
 */
import { limits } from '@tideway/protocol';
import type { Backbone, RemoteBackbone } from './backbone.ts';
import type { NamespaceRules, Policy } from './policy.ts';

export class RecordLimit {
  readonly #policy: Policy;
  readonly #durable: Backbone | RemoteBackbone;

  constructor(policy: Policy, durable: Backbone | RemoteBackbone) {
    this.#policy = policy;
    this.#durable = durable;
  }

  /** Of the log, whatever namespaces say. That of workers is no broker's, and takes whatever a namespace may allow. */
  get ofLog(): number {
    return 'log' in this.#durable ? this.#durable.log.declares.recordBytesMax : limits.recordBytesMax;
  }

  /** Of a namespace. A log in memory takes whatever one may allow, and stands beside no log that takes less. */
  of({ recordBytes }: NamespaceRules): number {
    return Math.min(recordBytes, this.ofLog);
  }

  /** Of any namespace. Where there is none a client is to be told that, and not that its record is too large. */
  get largest(): number {
    const { appendable } = this.#policy;
    if (appendable.length === 0) return Math.min(limits.recordBytes, this.ofLog);
    return Math.max(...appendable.map((rules) => this.of(rules)));
  }
}
