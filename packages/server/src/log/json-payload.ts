/** JSON payloads where they enter (PROTOCOL.md FRM-5): through the server's edge, or from a foreign producer's record. */
import { isUtf8 } from 'node:buffer';
import { normalizeJson } from '@tideway/protocol';

export type JsonPayload =
  /** As it is stored, tagged and sent; `text` is the same, decoded. */
  { readonly payload: Buffer; readonly text: string } | { readonly fault: string };

/** The payload as it is stored, the same buffer where nothing had to be taken out; or what is wrong with it, in words. */
export function readJsonPayload(payload: Buffer): JsonPayload {
  if (!isUtf8(payload)) return { fault: 'the payload is not valid UTF-8' };
  const text = payload.toString('utf8');
  const stored = normalizeJson(text);
  if (stored === undefined) return { fault: 'the payload is not valid JSON' };
  return { payload: stored.length === text.length ? payload : Buffer.from(stored), text: stored };
}
