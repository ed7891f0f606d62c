/** Signals between the processes of a server: what one says reaches all others, through the one that has the log. */
import type { NodeSignals } from '../../log/log.ts';

type To = Parameters<NodeSignals['signal']>[0];

/** Somebody who is told. */
export interface Line {
  say(to: string | undefined, bytes: Buffer): void;
}

export class Switchboard implements NodeSignals {
  readonly #lines = new Set<Line>();
  readonly #listeners = new Map<string, (bytes: Buffer) => void>();

  signal(to: To, bytes: Buffer): void {
    this.relay(undefined, to, bytes);
  }

  onSignal(node: string, listener: (bytes: Buffer) => void): Promise<() => void> {
    this.#listeners.set(node, listener);
    return Promise.resolve(() => void this.#listeners.delete(node));
  }

  add(line: Line): () => void {
    this.#lines.add(line);
    return () => void this.#lines.delete(line);
  }

  /** Tells this process and all others but the one it came from, which has told itself. */
  relay(from: Line | undefined, to: To, bytes: Buffer): void {
    this.hear(to === 'all' ? undefined : to.node, bytes);
    for (const line of this.#lines) if (line !== from) line.say(to === 'all' ? undefined : to.node, bytes);
  }

  /** Tells those of this process. */
  hear(to: string | undefined, bytes: Buffer): void {
    for (const [node, listener] of this.#listeners) if (to === undefined || to === node) listener(bytes);
  }
}
