/**
 * What a server logs between its start and the moment it listens. One that cannot listen has started for nobody: then
 * the line that says why is all there is to read.
 */
import type { LogLine } from '../ops/logger.ts';

export class StartLines {
  readonly #write: (line: LogLine) => void;
  #held: LogLine[] | undefined;

  constructor(write: (line: LogLine) => void) {
    this.#write = write;
  }

  /** Takes a line of the server's log. */
  readonly write = (line: LogLine): void => {
    if (line.event === 'server.started') this.#held ??= [];
    if (this.#held === undefined || line.level === 'warn' || line.level === 'error') this.#write(line);
    else this.#held.push(line);
  };

  /** It listens: everything is written. */
  release(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const line of held) this.#write(line);
  }
}
