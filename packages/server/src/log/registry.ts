/** Where a log is, as configuration names it: a scheme chooses the driver, which is loaded only then. */
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { EmbeddedLogEvent, EmbeddedLogOptions } from './embedded/embedded-log.ts';
import type { Log } from './log.ts';

export interface LogOptions {
  /** What an operator should hear of. */
  readonly report?: (event: EmbeddedLogEvent) => void;
  /** Settings of the embedded log; others have their own in their address. */
  readonly embedded?: Pick<EmbeddedLogOptions, 'window' | 'segmentBytes' | 'keepBytes'>;
}

/** What an address says: a driver, and where. */
export type LogAddress = { readonly driver: 'memory' } | { readonly driver: 'embedded'; readonly folder: string };

interface Scheme {
  /** How it is written, for the message that lists what is known. */
  readonly form: string;
  parse(address: string): LogAddress;
}

const schemes: Readonly<Record<string, Scheme>> = {
  file: { form: 'file:FOLDER', parse: (address) => ({ driver: 'embedded', folder: folderOf(address) }) },
  memory: { form: 'memory:', parse: parseMemory },
};

/**
 * Reads an address: `./tideway-data`, `/var/lib/tideway`, `file:data`, `file:///var/lib/tideway`, `memory:`. Throws in
 * words, naming the schemes that are known.
 */
export function parseLogAddress(address: string): LogAddress {
  if (address === '') throw new Error(`the log's address is empty; known: a folder, ${knownForms()}`);
  // One letter before a colon is a drive of Windows, and a folder may have any name behind a slash.
  const scheme = /^([a-z][a-z0-9+.-]+):/i.exec(address)?.[1]?.toLowerCase();
  if (scheme === undefined) return { driver: 'embedded', folder: resolve(address) };
  const known = Object.hasOwn(schemes, scheme) ? schemes[scheme] : undefined;
  // Nothing else of it is repeated: an address may carry credentials.
  if (known === undefined) throw new Error(`unknown log scheme "${scheme}:"; known: a folder, ${knownForms()}`);
  return known.parse(address);
}

/** Makes the log that an address names; it is not open yet. */
export async function createLog(address: string, options: LogOptions = {}): Promise<Log> {
  const parsed = parseLogAddress(address);
  switch (parsed.driver) {
    case 'memory': {
      const { MemoryLog } = await import('./memory/memory-log.ts');
      return new MemoryLog();
    }
    case 'embedded': {
      const { EmbeddedLog } = await import('./embedded/embedded-log.ts');
      const { report, embedded } = options;
      return new EmbeddedLog({ folder: parsed.folder, ...(report === undefined ? {} : { report }), ...embedded });
    }
    default:
      return parsed satisfies never;
  }
}

function knownForms(): string {
  return Object.values(schemes)
    .map(({ form }) => form)
    .join(', ');
}

function parseMemory(address: string): LogAddress {
  if (!/^memory:(\/\/)?$/i.test(address)) throw new Error(`"${address}": a memory log has no place; write memory:`);
  return { driver: 'memory' };
}

function folderOf(address: string): string {
  const path = /^file:\/\//i.test(address) ? fileURLToPath(address) : address.slice('file:'.length);
  if (path === '') throw new Error('file: needs a folder behind it');
  return resolve(path);
}
