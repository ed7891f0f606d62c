/**
 * A record as an entry of a stream: the fields `channel` and `value`, and one field for each header. Whoever writes
 * these with the id `0-*` has appended a record; names are ASCII, texts UTF-8, the value is any bytes.
 */
import { isUtf8 } from 'node:buffer';
import { TailError } from '../log.ts';
import type { StoredRecord } from '../broker/broker-port.ts';
import type { NativeRecord } from '../broker/native-record.ts';

const noBytes = Buffer.alloc(0);
const ZERO = 0x30;
const DASH = 0x2d;

/** Adds the arguments for one record: how many fields and values follow, and these. */
export function pushFields(record: NativeRecord, into: (string | Buffer)[]): void {
  into.push(String(4 + 2 * record.headers.size), 'channel', record.channel ?? '', 'value', record.value);
  for (const [name, text] of record.headers) into.push(name, text);
}

/**
 * Reads entries as Redis answers them: `[id, [field, value, …]]`, all bytes. Ends before an entry that is not numbered
 * as records are; throws a `TailError` when that is the first.
 */
export function readEntries(reply: unknown): StoredRecord[] {
  const records: StoredRecord[] = [];
  for (const [id, fields] of reply as readonly (readonly [Buffer, readonly Buffer[]])[]) {
    const number = numberOfId(id);
    if (number === undefined && records.length > 0) break;
    if (number === undefined) throw wrongId(id);
    records.push(readEntry(number, fields));
  }
  return records;
}

function readEntry(number: number, fields: readonly Buffer[]): StoredRecord {
  const headers = new Map<string, string>();
  let channel: string | undefined;
  let value: Buffer = noBytes;
  for (let i = 0; i + 1 < fields.length; i += 2) {
    const name = (fields[i] as Buffer).toString('latin1');
    const bytes = fields[i + 1] as Buffer;
    if (name === 'value') value = bytes;
    else if (name === 'channel') channel = isUtf8(bytes) ? bytes.toString() : undefined;
    else headers.set(name, bytes.toString());
  }
  return { number, channel, value, headers };
}

/** The number in an id that `0-*` made; `undefined` for another. */
export function numberOfId(id: Buffer): number | undefined {
  if (id.length < 3 || id[0] !== ZERO || id[1] !== DASH) return undefined;
  let number = 0;
  for (let i = 2; i < id.length; i++) number = number * 10 + ((id[i] as number) - ZERO);
  return Number.isSafeInteger(number) ? number : undefined;
}

function wrongId(id: Buffer): TailError {
  return new TailError(
    'damaged',
    `an entry of the stream has the id ${id.toString('latin1')}, which somebody chose: records are added with the id 0-*. ` +
      'Remove it with XDEL and set the last id back with XSETID',
  );
}
