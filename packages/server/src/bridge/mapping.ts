/**
 * From a message to what `POST /v1/batch` takes (PROTOCOL.md HTTP-4), or to why it can never be one. What a message says
 * in Tideway's own headers holds where the configuration says nothing else, so that a native record stays itself.
 */
import { randomUUID } from 'node:crypto';
import { isRid, limits } from '@tideway/protocol';
import { readJsonPayload } from '../log/json-payload.ts';
import { shortened, type Message } from './message.ts';
import { type ChannelTemplate, type Template, Unmapped } from './template.ts';

export interface MappingOptions {
  readonly channel: ChannelTemplate;
  readonly recordKey: Template | undefined;
  readonly rid: Template | undefined;
  readonly payload: 'json' | 'bytes';
}

/** One item of a batch, as its text. */
export interface Item {
  readonly message: Message;
  readonly channel: string;
  readonly text: string;
  readonly bytes: number;
}

/** A message that no repeat can make into a record: a code of PROTOCOL.md, and what was wrong. */
export interface Refused {
  readonly message: Message;
  readonly code: 'bad_frame' | 'invalid' | 'too_large';
  readonly why: string;
}

/** A message without an id of any kind gets one of chance: it lasts until it is settled, and not over a redelivery. */
export function mapMessage(message: Message, options: MappingOptions, recordBytesMax: number): Item | Refused {
  const { body, headers } = message;
  // A body that is over every limit is not sent to be told so.
  if (body.length > recordBytesMax) {
    return { message, code: 'too_large', why: `the body has ${body.length} bytes; ${recordBytesMax} are allowed` };
  }
  const isBytes = options.payload === 'bytes' || headers.get('tideway-encoding') === 'bytes';
  const read = isBytes ? undefined : readJsonPayload(body);
  if (read !== undefined && 'fault' in read) return { message, code: 'bad_frame', why: read.fault };
  try {
    const from = { message, json: read === undefined ? undefined : JSON.parse(read.text, exactly) };
    const channel = options.channel.nameOf(from);
    const key = options.recordKey?.textOf(from) ?? headers.get('tideway-key');
    if (key !== undefined && (key === '' || Buffer.byteLength(key) > limits.keyBytes)) {
      throw new Unmapped(`the record's key has ${Buffer.byteLength(key)} bytes; 1 to ${limits.keyBytes} are allowed`);
    }
    const rid = options.rid?.textOf(from) ?? headers.get('tideway-rid') ?? message.id ?? randomUUID();
    const trace = headers.get('traceparent');
    const fields = {
      channel,
      rid: isRid(rid) ? rid : shortened(rid),
      ...(key !== undefined && { key }),
      ...(trace !== undefined && isRid(trace) && { trace }),
    };
    const data = read === undefined ? `"encoding":"base64","data":"${body.toString('base64')}"` : `"data":${read.text}`;
    const text = `${JSON.stringify(fields).slice(0, -1)},${data}}`;
    return { message, channel, text, bytes: Buffer.byteLength(text) };
  } catch (error) {
    if (error instanceof Unmapped) return { message, code: 'invalid', why: error.message };
    throw error;
  }
}

/** A number that a double cannot hold stays what was written: it may be half of a channel's name. */
function exactly(_key: string, value: unknown, { source }: { readonly source?: string } = {}): unknown {
  return typeof value === 'number' && !Number.isSafeInteger(value) && source !== undefined ? source : value;
}
