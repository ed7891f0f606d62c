/**
 * Reading and writing frames (PROTOCOL.md FRM-1 to FRM-9): a header line of JSON and, where there is a payload, one
 * line feed and the payload's bytes as they are. Whoever calls this holds the bytes; only headers pass through here.
 */
import type { ClientFrame, Deliver, RecordHeader, ServerFrame, SubscribeItem } from './frames.ts';
import { memberText } from './json-text.ts';
import { limits } from './limits.ts';
import { isRid } from './names.ts';

/** A client's frame as read, or why it was not understood (always `bad_frame`); `id` where the frame had a usable one. */
export type Decoded =
  | { readonly ok: true; readonly frame: ClientFrame; /** The text of a hand-typed `data` member (FRM-6). */ readonly data?: string }
  | { readonly ok: false; readonly message: string; readonly id?: number };

type Fields = Readonly<Record<string, unknown>>;

class NotUnderstood extends Error {}

function text(fields: Fields, name: string, bytesMax: number): string {
  const value = fields[name];
  if (typeof value !== 'string') throw new NotUnderstood(`"${name}" must be a string`);
  if (value.length > bytesMax) throw new NotUnderstood(`"${name}" is longer than ${bytesMax} characters`);
  return value;
}

function textIf(fields: Fields, name: string, bytesMax: number): string | undefined {
  return fields[name] === undefined ? undefined : text(fields, name, bytesMax);
}

function count(fields: Fields, name: string): number | undefined {
  const value = fields[name];
  if (value === undefined) return undefined;
  if (typeof value !== 'number' || !(value >= 0)) throw new NotUnderstood(`"${name}" must be a number ≥ 0`);
  return value;
}

function flag(fields: Fields, name: string): boolean | undefined {
  const value = fields[name];
  if (value === undefined || typeof value === 'boolean') return value;
  throw new NotUnderstood(`"${name}" must be true or false`);
}

function requestId(fields: Fields): number {
  const id = fields['id'];
  if (typeof id !== 'number' || !Number.isSafeInteger(id) || id < 1) {
    throw new NotUnderstood('"id" must be a positive integer');
  }
  return id;
}

function deliver(value: unknown): Deliver | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== 'object' || value === null) throw new NotUnderstood('"deliver" must be an object');
  const fields = value as Fields;
  const mode = fields['mode'];
  if (mode !== 'all' && mode !== 'latest') throw new NotUnderstood('"deliver.mode" must be "all" or "latest"');
  const maxHz = count(fields, 'maxHz');
  const maxBytesPerSecond = count(fields, 'maxBytesPerSecond');
  return {
    mode,
    ...(maxHz === undefined ? {} : { maxHz }),
    ...(maxBytesPerSecond === undefined ? {} : { maxBytesPerSecond }),
  };
}

function subscribeOptions(fields: Fields): Omit<SubscribeItem, 'channel'> {
  const from = textIf(fields, 'from', 128);
  const presence = flag(fields, 'presence');
  const how = deliver(fields['deliver']);
  return {
    ...(from === undefined ? {} : { from }),
    ...(presence === undefined ? {} : { presence }),
    ...(how === undefined ? {} : { deliver: how }),
  };
}

/**
 * The channels of a subscribe, from its fields or from the body of `POST /v1/events`: the outer fields are each item's
 * defaults (SUB-1).
 *
 * @throws an Error whose message says what was not understood
 */
export function decodeSubscribe(fields: Fields, channelsMax: number): { readonly single: boolean; readonly channels: SubscribeItem[] } {
  const outer = subscribeOptions(fields);
  const list = fields['channels'];
  if (fields['channel'] !== undefined) {
    if (list !== undefined) throw new NotUnderstood('give "channel" or "channels", not both');
    return { single: true, channels: [{ channel: text(fields, 'channel', 1024), ...outer }] };
  }
  if (!Array.isArray(list)) throw new NotUnderstood('"channel" or "channels" is missing');
  if (list.length < 1 || list.length > channelsMax) {
    throw new NotUnderstood(`"channels" must have 1 to ${channelsMax} items, got ${list.length}`);
  }
  const channels = list.map((item: unknown): SubscribeItem => {
    if (typeof item === 'string') return { channel: item, ...outer };
    if (typeof item !== 'object' || item === null) throw new NotUnderstood('"channels" holds names or objects');
    return { channel: text(item as Fields, 'channel', 1024), ...outer, ...subscribeOptions(item as Fields) };
  });
  return { single: false, channels };
}

const utf8 = new TextEncoder();

function key(fields: Fields): string | undefined {
  const value = textIf(fields, 'key', limits.keyBytes);
  if (value === undefined || value.length * 3 <= limits.keyBytes) return value;
  if (utf8.encode(value).length > limits.keyBytes) throw new NotUnderstood(`"key" is longer than ${limits.keyBytes} bytes`);
  return value;
}

function decodeFields(fields: Fields): ClientFrame {
  const op = fields['op'];
  switch (op) {
    case 'hello': {
      const token = textIf(fields, 'token', limits.headerBytes);
      const client = textIf(fields, 'client', 128);
      return {
        op,
        id: requestId(fields),
        instance: text(fields, 'instance', 64),
        ...(token === undefined ? {} : { token }),
        ...(client === undefined ? {} : { client }),
      };
    }
    case 'subscribe':
      return { op, id: requestId(fields), ...decodeSubscribe(fields, limits.channelsPerFrame) };
    case 'unsubscribe':
      return { op, id: requestId(fields), channel: text(fields, 'channel', 1024) };
    case 'append': {
      const id = requestId(fields);
      const rid = fields['rid'];
      if (!isRid(rid)) throw new NotUnderstood('"rid" must be 1–64 printable ASCII characters');
      const channel = text(fields, 'channel', 1024);
      const itsKey = key(fields);
      const expect = textIf(fields, 'expect', limits.ridLength);
      const trace = textIf(fields, 'trace', limits.traceLength);
      const restart = flag(fields, 'restart');
      return {
        op,
        id,
        channel,
        rid,
        ...(itsKey === undefined ? {} : { key: itsKey }),
        ...(expect === undefined ? {} : { expect }),
        ...(trace === undefined ? {} : { trace }),
        ...(restart === undefined ? {} : { restart }),
      };
    }
    case 'signal': {
      const itsKey = key(fields);
      const to = textIf(fields, 'to', limits.userBytes);
      return {
        op,
        channel: text(fields, 'channel', 1024),
        ...(itsKey === undefined ? {} : { key: itsKey }),
        ...(to === undefined ? {} : { to }),
      };
    }
    case 'token':
      return { op, id: requestId(fields), token: text(fields, 'token', limits.headerBytes) };
    case 'report': {
      const gaps = count(fields, 'gaps');
      const duplicates = count(fields, 'duplicates');
      const lagMs = count(fields, 'lagMs');
      return {
        op,
        channel: text(fields, 'channel', 1024),
        ...(gaps === undefined ? {} : { gaps }),
        ...(duplicates === undefined ? {} : { duplicates }),
        ...(lagMs === undefined ? {} : { lagMs }),
      };
    }
    case 'pong':
      return { op };
    case 'enter':
    case 'leave':
    case 'call':
      return { op, id: requestId(fields) };
    default:
      throw new NotUnderstood(typeof op === 'string' ? `unknown op "${op.slice(0, 32)}"` : '"op" is missing');
  }
}

/** Reads the header line of a client's frame (FRM-1, FRM-7). */
export function decodeClientHeader(header: string): Decoded {
  let fields: unknown;
  try {
    fields = JSON.parse(header);
  } catch {
    const broken = header.trimStart().startsWith('{') && !header.trimEnd().endsWith('}');
    return {
      ok: false,
      message: broken
        ? 'the header is not one line of JSON: a frame is a header without line breaks, a line feed, then the payload'
        : 'the header is not JSON',
    };
  }
  if (typeof fields !== 'object' || fields === null || Array.isArray(fields)) {
    return { ok: false, message: 'the header must be a JSON object' };
  }
  try {
    const frame = decodeFields(fields as Fields);
    if (!Object.hasOwn(fields, 'data')) return { ok: true, frame };
    return { ok: true, frame, data: memberText(header, 'data') as string };
  } catch (error) {
    if (!(error instanceof NotUnderstood)) throw error;
    const id = (fields as Fields)['id'];
    const usable = typeof id === 'number' && Number.isSafeInteger(id) && id >= 1;
    return { ok: false, message: error.message, ...(usable ? { id } : {}) };
  }
}

/** The header line of a client's frame. */
export function encodeClientHeader(frame: ClientFrame): string {
  if (frame.op !== 'subscribe') return JSON.stringify(frame);
  const { single, channels, ...rest } = frame;
  return JSON.stringify(single ? { ...rest, ...channels[0] } : { ...rest, channels });
}

/** The header line of a server's frame; member order is as given. */
export function encodeServerHeader(frame: ServerFrame): string {
  return JSON.stringify(frame);
}

/**
 * Reads the header line of a server's frame; `undefined` for one that is not a JSON object with an `op`. Ops this
 * version does not know come back as they are, and their reader ignores them (FRM-8).
 */
export function decodeServerHeader(header: string): ServerFrame | undefined {
  try {
    const fields: unknown = JSON.parse(header);
    if (typeof fields !== 'object' || fields === null || typeof (fields as Fields)['op'] !== 'string') return undefined;
    return fields as ServerFrame;
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

/** Takes a text message apart at its first line feed (FRM-1). */
export function splitText(message: string): { readonly header: string; readonly payload: string | undefined } {
  const at = message.indexOf('\n');
  return at < 0 ? { header: message, payload: undefined } : { header: message.slice(0, at), payload: message.slice(at + 1) };
}

const utf8Reader = new TextDecoder();

/** Takes a binary message apart at its first line feed (FRM-1); the payload is a view of the message's bytes. */
export function splitBytes(message: Uint8Array): { readonly header: string; readonly payload: Uint8Array | undefined } {
  const at = message.indexOf(0x0a);
  return at < 0
    ? { header: utf8Reader.decode(message), payload: undefined }
    : { header: utf8Reader.decode(message.subarray(0, at)), payload: message.subarray(at + 1) };
}
