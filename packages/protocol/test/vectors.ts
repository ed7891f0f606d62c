/** Reads the vectors in `fixtures/`, for the tests of this package. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export const fixtures = join(import.meta.dirname, '..', 'fixtures');

/** Whoever reads vectors says their shape, after `fixtures/README.md`; a case of another shape fails its test. */
export function readVectors(name: string): unknown {
  return JSON.parse(readFileSync(join(fixtures, `${name}.json`), 'utf8'));
}

export function bytesOf(hex: string): Uint8Array {
  return new Uint8Array(Buffer.from(hex, 'hex'));
}
