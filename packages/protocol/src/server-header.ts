/** The header of a server's frame, written and read (PROTOCOL.md WS-3, REC-1). */
import type { RecordHeader, ServerFrame } from './frames.ts';

/** The header line of a server's frame; member order is as given. */
export function encodeServerHeader(frame: ServerFrame): string {
  return JSON.stringify(frame);
}

/**
 * Reads the header line of a server's frame; `undefined` for one that is not a JSON object with an `op`. Ops this
 * version does not know come back as they are, and their reader ignores them (FRM-8). Never throws.
 */
export function decodeServerHeader(header: string): ServerFrame | undefined {
  try {
    const fields = JSON.parse(header) as { readonly op?: unknown } | null;
    return typeof fields?.op === 'string' ? (fields as ServerFrame) : undefined;
  } catch {
    return undefined;
  }
}

/**
 * The header line of a record: always these members in this order, so that a reader of stored frames finds them (REC-1).
 * Written by hand because it is made for each record stored: names need no escaping, cursors are plain, the rest goes
 * through `JSON.stringify`.
 */
export function encodeRecordHeader(header: RecordHeader): string {
  let line = `{"op":"record","channel":"${header.channel}","cursor":"${header.cursor}","prev":"${header.prev}"`;
  if (header.time !== undefined) line += `,"time":${header.time}`;
  if (header.rid !== undefined) line += `,"rid":${JSON.stringify(header.rid)}`;
  if (header.user !== undefined) line += `,"user":${JSON.stringify(header.user)}`;
  if (header.key !== undefined) line += `,"key":${JSON.stringify(header.key)}`;
  if (header.trace !== undefined) line += `,"trace":${JSON.stringify(header.trace)}`;
  return `${line}}`;
}
