/** The SSE codec (PROTOCOL.md SSE-2 to SSE-4): events made of the same bytes that WebSocket sends. */
import type { PayloadKind, ServerFrame } from '@tideway/protocol';
import type { Codec } from '../hub/connection.ts';
import { frameParts, recordLine } from '../view/frame.ts';

const DATA = Buffer.from('data: ');
const ID = Buffer.from('id: ');
const LF = Buffer.from('\n');
const END = Buffer.from('\n\n');
const CURSOR = Buffer.from('"cursor":"');
const QUOTE = 0x22;

/** The place a frame moves its reader to, for the streams whose events carry it. */
function placeOf(frame: ServerFrame): string | undefined {
  return frame.op === 'gap' || frame.op === 'mark' ? frame.cursor : undefined;
}

function createSseCodec(name: 'sse' | 'sse-id'): Codec {
  const withId = name === 'sse-id';
  return {
    name,
    record(frame) {
      const line = recordLine(frame);
      if (!withId) return Buffer.concat([DATA, line, END]);
      const { header } = frameParts(frame);
      const from = header.indexOf(CURSOR) + CURSOR.length;
      return Buffer.concat([ID, header.subarray(from, header.indexOf(QUOTE, from)), LF, DATA, line, END]);
    },
    frame(frame, payload) {
      if (frame.op === 'ok' || frame.op === 'ping' || frame.op === 'record') return undefined;
      const { op, ...members } = frame;
      return event(
        op,
        payload === undefined ? JSON.stringify(members) : withData(members, payload),
        withId ? placeOf(frame) : undefined,
      );
    },
  };
}

/** Header members, then `data` last, as in a record. */
function withData(members: object, payload: { readonly encoding: PayloadKind; readonly bytes: Buffer }): string {
  const head = JSON.stringify(members).slice(0, -1);
  return payload.encoding === 'json'
    ? `${head},"data":${payload.bytes.toString('utf8')}}`
    : `${head},"encoding":"base64","data":"${payload.bytes.toString('base64')}"}`;
}

/** One named event. */
export function event(name: string, data: string, id?: string): Buffer {
  return Buffer.from(`event: ${name}\n${id === undefined ? '' : `id: ${id}\n`}data: ${data}\n\n`);
}

/** A block that only moves the browser's last event id. */
export function idBlock(places: readonly string[]): Buffer {
  return Buffer.from(`id: ${places.join(',')}\n\n`);
}

/** POST streams, and GET streams of several channels: records carry no id. */
export const sseCodec: Codec = createSseCodec('sse');
/** GET streams of one channel: every record carries its place. */
export const sseIdCodec: Codec = createSseCodec('sse-id');
