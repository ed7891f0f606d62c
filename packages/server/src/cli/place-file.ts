/**
 * Where a reading stopped, in a file: each channel's place, written after its records were printed. So a reading that is
 * killed and started again misses nothing; at most it prints the last records again.
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { parseCursor } from '@tideway/protocol';
import { CliError, exitCodes, usageError } from './exit-codes.ts';

const WRITE_EVERY_MS = 100;

export class PlaceFile {
  readonly #path: string;
  readonly #places: Record<string, string>;
  #timer: NodeJS.Timeout | undefined;
  #failure: CliError | undefined;

  /** @throws CliError (usage) when the file holds something else */
  constructor(path: string) {
    this.#path = path;
    this.#places = readPlaces(path);
  }

  of(channel: string): string | undefined {
    return this.#places[channel];
  }

  /** @throws CliError when the file could not be written: going on would promise what is not kept */
  set(channel: string, cursor: string): void {
    if (this.#failure !== undefined) throw this.#failure;
    this.#places[channel] = cursor;
    this.#timer ??= setTimeout(() => this.#write(), WRITE_EVERY_MS);
  }

  /** Writes what is not written yet. @throws CliError when that is not possible */
  flush(): void {
    this.#write();
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Replaces the file in one step: a crash leaves the old one or the new one. */
  #write(): void {
    if (this.#timer === undefined) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const next = `${this.#path}.next`;
    try {
      writeFileSync(next, `${JSON.stringify(this.#places)}\n`);
      renameSync(next, this.#path);
    } catch (error) {
      this.#failure = new CliError(
        exitCodes.failed,
        `--state: ${this.#path} cannot be written: ${(error as Error).message}`,
      );
    }
  }
}

function readPlaces(path: string): Record<string, string> {
  const places: Record<string, string> = Object.create(null);
  let content: unknown;
  try {
    content = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return places;
    throw usageError(`--state: ${path} cannot be read: ${(error as Error).message}`);
  }
  for (const [channel, cursor] of Object.entries(Object(content) as Record<string, unknown>)) {
    if (typeof cursor !== 'string' || parseCursor(cursor) === undefined)
      throw usageError(`--state: ${path} is no file of places: "${channel}" has no cursor`);
    places[channel] = cursor;
  }
  return places;
}
