/**
 * What a node last knew of its broker's log, kept beside its views: with it a start serves what the views hold while the
 * broker cannot be reached. The broker's own word counts as soon as it is there.
 */
import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface KnownConstants {
  readonly epochs: readonly string[];
  readonly window: number;
}

const FILE = 'constants.json';
const EPOCH = /^[-0-9A-Z_a-z]{6}$/;

/** `undefined` where nothing is known, or nothing that can be read. */
export async function readKnownConstants(folder: string): Promise<KnownConstants | undefined> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(await readFile(join(folder, FILE), 'utf8'));
  } catch {
    return undefined;
  }
  if (typeof parsed !== 'object' || parsed === null) return undefined;
  const { epochs, window } = parsed as { readonly epochs?: unknown; readonly window?: unknown };
  const isKnown =
    Array.isArray(epochs) &&
    epochs.length > 0 &&
    epochs.every((epoch) => typeof epoch === 'string' && EPOCH.test(epoch)) &&
    Number.isSafeInteger(window) &&
    (window as number) > 0;
  return isKnown ? { epochs: epochs as string[], window: window as number } : undefined;
}

export async function writeKnownConstants(folder: string, { epochs, window }: KnownConstants): Promise<void> {
  const path = join(folder, FILE);
  await writeFile(`${path}.new`, `${JSON.stringify({ epochs, window })}\n`);
  await rename(`${path}.new`, path);
}
