/**
 * Application values to payloads and back: JSON as text, `Uint8Array` as bytes.
 */
import { type RecordLine, TidewayError } from '@tideway/protocol';
import { fromBase64 } from './base64.ts';
import type { Payload } from './link.ts';

/**
 * @throws TidewayError `invalid` when the value is no JSON, such as `undefined` or an object that contains itself
 */
export function encodePayload(data: unknown): Payload {
  // A copy: what the application does with its buffer afterwards is its own business.
  if (data instanceof Uint8Array) return data.slice();
  let text: string | undefined;
  let cause: unknown;
  try {
    text = JSON.stringify(data);
  } catch (error) {
    cause = error;
  }
  if (text !== undefined) return text;
  throw new TidewayError('invalid', `this ${typeof data} is no JSON; for bytes give a Uint8Array`, { cause });
}

/**
 * @throws SyntaxError when text is no JSON
 */
export function decodePayload(payload: Payload): unknown {
  return typeof payload === 'string' ? JSON.parse(payload) : payload;
}

/** The data of a record that came over HTTP or SSE. */
export function decodeLine(line: RecordLine): unknown {
  return line.encoding === 'base64' ? fromBase64(String(line.data)) : line.data;
}
