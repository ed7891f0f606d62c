/**
 * The header of a client's frame: read with every check that needs no session (PROTOCOL.md FRM-7, SUB-1), and written.
 * Whether a channel exists, a place is right or a permission is held is not decided here.
 */
import { TidewayError } from './codes.ts';
import { parseCursor } from './cursor.ts';
import type { ClientFrame, Deliver, SubscribeItem } from './frames.ts';
import { memberText } from './json-text.ts';
import { limits } from './limits.ts';
import { isRid } from './names.ts';

/** A client's frame as read, or why it was not understood (always `bad_frame`); `id` where the frame had a usable one. */
export type Decoded =
  | {
      readonly ok: true;
      readonly frame: ClientFrame;
      /** The text of a hand-typed `data` member (FRM-6). */ readonly data?: string;
    }
  | { readonly ok: false; readonly message: string; readonly id?: number };

type Fields = Readonly<Record<string, unknown>>;

/** Longest channel, cursor or word of a `from` that is looked at; what is right is far shorter. */
const TEXT_LENGTH_MAX = 1024;

const utf8 = /* @__PURE__ */ new TextEncoder();

function badFrame(message: string): TidewayError {
  return new TidewayError('bad_frame', message);
}

function text(fields: Fields, name: string, lengthMax = TEXT_LENGTH_MAX): string {
  const value = fields[name];
  if (typeof value !== 'string') throw badFrame(`"${name}" must be a string`);
  if (value.length > lengthMax)
    throw badFrame(`"${name}" must have at most ${lengthMax} characters, got ${value.length}`);
  if (!value.isWellFormed()) throw badFrame(`"${name}" holds half a surrogate pair`);
  return value;
}

function textIf(fields: Fields, name: string, lengthMax?: number): string | undefined {
  return fields[name] === undefined ? undefined : text(fields, name, lengthMax);
}

function nameIf(fields: Fields, name: string, lengthMax: number): string | undefined {
  if (fields[name] === '') throw badFrame(`"${name}" must have 1 to ${lengthMax} characters`);
  return textIf(fields, name, lengthMax);
}

/** 1 to `bytesMax` bytes of UTF-8 (NAM-4). */
function bytesIf(fields: Fields, name: string, bytesMax: number): string | undefined {
  const value = textIf(fields, name);
  if (value === undefined) return undefined;
  const bytes = value.length * 3 <= bytesMax ? value.length : utf8.encode(value).length;
  if (bytes < 1 || bytes > bytesMax) throw badFrame(`"${name}" must have 1 to ${bytesMax} bytes`);
  return value;
}

/** 1–64 printable ASCII characters (NAM-4). */
function ascii(fields: Fields, name: string): string {
  const value = fields[name];
  if (!isRid(value)) throw badFrame(`"${name}" must be 1 to ${limits.ridLength} printable ASCII characters`);
  return value;
}

function count(fields: Fields, name: string): number | undefined {
  const value = fields[name];
  if (value === undefined || (typeof value === 'number' && value >= 0 && value < Infinity)) return value;
  throw badFrame(`"${name}" must be a finite number, 0 or more`);
}

/** A whole number of things that a client counted since its last report (CLS-4). */
function counted(fields: Fields, name: string): number | undefined {
  const value = fields[name];
  if (value === undefined) return undefined;
  if (Number.isInteger(value) && (value as number) >= 0 && (value as number) <= limits.reported) return value as number;
  throw badFrame(`"${name}" must be a whole number from 0 to ${limits.reported}`);
}

function flag(fields: Fields, name: string): boolean | undefined {
  const value = fields[name];
  if (value === undefined || typeof value === 'boolean') return value;
  throw badFrame(`"${name}" must be true or false`);
}

function isId(id: unknown): id is number {
  return typeof id === 'number' && Number.isSafeInteger(id) && id >= 1;
}

function requestId(fields: Fields): number {
  const id = fields['id'];
  if (!isId(id)) throw badFrame('"id" must be a whole number from 1 to 2^53 − 1');
  return id;
}

function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Leaves out what is absent, so that a frame has only the members its sender gave. */
function present<T extends object>(members: { [Name in keyof T]: T[Name] | undefined }): T {
  const frame: Partial<T> = {};
  for (const name in members) if (members[name] !== undefined) frame[name] = members[name];
  return frame as T;
}

function deliver(value: unknown): Deliver | undefined {
  if (value === undefined) return undefined;
  if (!isObject(value)) throw badFrame('"deliver" must be an object');
  const mode = value['mode'];
  if (mode !== 'all' && mode !== 'latest') throw badFrame('"deliver.mode" must be "all" or "latest"');
  return present<Deliver>({ mode, maxHz: count(value, 'maxHz'), maxBytesPerSecond: count(value, 'maxBytesPerSecond') });
}

type Options = Omit<SubscribeItem, 'channel'>;

function subscribeOptions(fields: Fields): Options {
  return present<Options>({
    from: textIf(fields, 'from'),
    presence: flag(fields, 'presence'),
    deliver: deliver(fields['deliver']),
  });
}

function subscribeItems(list: readonly unknown[], outer: Options): SubscribeItem[] {
  const seen = new Set<string>();
  let defaulted = 0;
  const items = list.map((item): SubscribeItem => {
    if (typeof item !== 'string' && !isObject(item)) throw badFrame('"channels" must hold names or objects');
    const fields: Fields = typeof item === 'string' ? { channel: item } : item;
    const own = subscribeOptions(fields);
    if (own.from === undefined) defaulted++;
    const channel = text(fields, 'channel');
    if (seen.has(channel)) throw badFrame(`"channels" names ${channel} twice`);
    seen.add(channel);
    return { channel, ...outer, ...own };
  });
  if (defaulted > 1 && outer.from !== undefined && parseCursor(outer.from) !== undefined) {
    throw badFrame('"from" is a cursor, which belongs to one channel: give each channel its own');
  }
  return items;
}

/**
 * The channels of a subscribe, from its fields or from the body of `POST /v1/events`: the outer fields are each item's
 * defaults (SUB-1).
 *
 * @throws TidewayError `bad_frame`, whose message says what was not understood
 */
export function decodeSubscribe(
  fields: Fields,
  channelsMax: number,
): { readonly single: boolean; readonly channels: SubscribeItem[] } {
  const outer = subscribeOptions(fields);
  const list = fields['channels'];
  if (fields['channel'] !== undefined) {
    if (list !== undefined) throw badFrame('give "channel" or "channels", not both');
    return { single: true, channels: [{ channel: text(fields, 'channel'), ...outer }] };
  }
  if (list === undefined) throw badFrame('"channel" or "channels" is missing');
  if (!Array.isArray(list)) throw badFrame('"channels" must be a list');
  if (list.length < 1 || list.length > channelsMax) {
    throw badFrame(`"channels" must have 1 to ${channelsMax} items, got ${list.length}`);
  }
  return { single: false, channels: subscribeItems(list, outer) };
}

function decodeFields(fields: Fields): ClientFrame {
  const op = fields['op'];
  switch (op) {
    case 'hello':
      return present<ClientFrame & { op: 'hello' }>({
        op,
        id: requestId(fields),
        instance: ascii(fields, 'instance'),
        token: textIf(fields, 'token', limits.headerBytes),
        client: nameIf(fields, 'client', limits.clientLength),
      });
    case 'subscribe':
      return { op, id: requestId(fields), ...decodeSubscribe(fields, limits.channelsPerFrame) };
    case 'unsubscribe':
      return { op, id: requestId(fields), channel: text(fields, 'channel') };
    case 'append':
      return present<ClientFrame & { op: 'append' }>({
        op,
        id: requestId(fields),
        channel: text(fields, 'channel'),
        rid: ascii(fields, 'rid'),
        key: bytesIf(fields, 'key', limits.keyBytes),
        expect: textIf(fields, 'expect'),
        trace: fields['trace'] === undefined ? undefined : ascii(fields, 'trace'),
        restart: flag(fields, 'restart'),
      });
    case 'signal':
      return present<ClientFrame & { op: 'signal' }>({
        op,
        channel: text(fields, 'channel'),
        key: bytesIf(fields, 'key', limits.keyBytes),
        to: bytesIf(fields, 'to', limits.userBytes),
      });
    case 'token':
      return { op, id: requestId(fields), token: text(fields, 'token', limits.headerBytes) };
    case 'report':
      return present<ClientFrame & { op: 'report' }>({
        op,
        channel: text(fields, 'channel'),
        gaps: counted(fields, 'gaps'),
        duplicates: counted(fields, 'duplicates'),
        lagMs: count(fields, 'lagMs'),
      });
    case 'pong':
      return { op };
    case 'call':
      return { op, id: requestId(fields), method: text(fields, 'method') };
    case 'enter':
    case 'leave':
      return { op, id: requestId(fields) };
    default:
      throw badFrame(typeof op === 'string' ? `unknown op ${JSON.stringify(op.slice(0, 32))}` : '"op" is missing');
  }
}

/** Reads the header line of a client's frame (FRM-1, FRM-7). Never throws, whatever the text. */
export function decodeClientHeader(header: string): Decoded {
  let fields: unknown;
  try {
    fields = JSON.parse(header);
  } catch {
    return { ok: false, message: whyNotJson(header) };
  }
  if (!isObject(fields)) return { ok: false, message: 'the header must be a JSON object' };
  try {
    const frame = decodeFields(fields);
    const data = Object.hasOwn(fields, 'data') ? memberText(header, 'data') : undefined;
    return data === undefined ? { ok: true, frame } : { ok: true, frame, data };
  } catch (error) {
    if (!(error instanceof TidewayError)) throw error;
    const id = fields['id'];
    return { ok: false, message: error.message, ...(isId(id) ? { id } : {}) };
  }
}

function whyNotJson(header: string): string {
  if (header === '') return 'the header is empty, or is not UTF-8';
  return header.trimStart().startsWith('{') && !header.trimEnd().endsWith('}')
    ? 'the header is not one line of JSON: a frame is a header without line breaks, a line feed, then the payload'
    : 'the header is not JSON';
}

/** The header line of a client's frame. */
export function encodeClientHeader(frame: ClientFrame): string {
  if (frame.op !== 'subscribe') return JSON.stringify(frame);
  const { single, channels, ...rest } = frame;
  return JSON.stringify(single ? { ...rest, ...channels[0] } : { ...rest, channels });
}
