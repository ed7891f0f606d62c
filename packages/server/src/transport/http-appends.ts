/** Writing records over HTTP: one, many, a trim, a close (PROTOCOL.md HTTP-3, HTTP-4, HTTP-7). */
import { elementTexts, isRid, limits, memberText, type Code } from '@tideway/protocol';
import type { Identity } from '../auth/identity.ts';
import { randomId } from '../env.ts';
import type { AppendRequest } from '../hub/admission.ts';
import { appendControl, appendDirectly, appendInOrder } from '../hub/direct-append.ts';
import type { Hub } from '../hub/hub.ts';
import type { Appended } from '../hub/record-appender.ts';
import { parseBody, type Exchange } from './exchange.ts';
import { badFrame } from './request-refusal.ts';

/** `POST /v1/records` */
export async function postRecord(hub: Hub, exchange: Exchange, identity: Identity): Promise<void> {
  const channel = exchange.query.one('channel');
  const rules = hub.policy.rules(channel);
  const bytesMax = rules === undefined ? limits.recordBytes : hub.recordLimit.of(rules);
  const rid = exchange.given('idempotency-key');
  if (rid !== undefined && !isRid(rid)) throw badFrame('Idempotency-Key must be 1–64 printable ASCII characters');
  const trace = exchange.given('traceparent');
  if (trace !== undefined && !isRid(trace)) throw badFrame('traceparent must be 1–64 printable ASCII characters');
  const payload = await exchange.body(bytesMax + limits.headerBytes, bytesMax);
  const result = await appendDirectly(hub, identity, {
    channel,
    encoding: exchange.hasBytes ? 'bytes' : 'json',
    payload,
    rid: rid ?? randomId(hub.env),
    key: keyOf(exchange.given('tideway-key')),
    expect: exchange.query.maybe('expect'),
    trace,
  });
  if (result.state === 'error') exchange.fail(result);
  else exchange.json(result.duplicate ? 200 : 201, answerOf(result));
}

const PERCENT_ENCODED = /^[\x20-\x7e]*$/;

/** `Tideway-Key`: percent-encoded, because headers hold no UTF-8. */
export function keyOf(header: string | undefined): string | undefined {
  if (header === undefined) return undefined;
  let key: string;
  try {
    // Node reads other bytes as Latin-1.
    if (!PERCENT_ENCODED.test(header)) throw new URIError();
    key = decodeURIComponent(header);
  } catch {
    throw badFrame('Tideway-Key must be percent-encoded UTF-8');
  }
  if (!isKey(key)) throw badFrame(`Tideway-Key must have 1 to ${limits.keyBytes} bytes`);
  return key;
}

/** 1–128 bytes of UTF-8 (NAM-4). */
function isKey(text: string): boolean {
  return text !== '' && text.isWellFormed() && Buffer.byteLength(text) <= limits.keyBytes;
}

function answerOf(result: Extract<Appended, { state: 'ok' }>): object {
  return { cursor: result.cursor, ...(result.duplicate ? { duplicate: true } : {}) };
}

/** `POST /v1/batch` */
export async function postBatch(hub: Hub, exchange: Exchange, identity: Identity): Promise<void> {
  const inBase64 = Math.ceil(hub.recordLimit.largest / 3) * 4;
  const body = await exchange.text(Math.max(limits.batchBytes, inBase64 + limits.headerBytes));
  const items = parseBody(body);
  if (!Array.isArray(items) || items.length < 1 || items.length > limits.batchItems) {
    throw badFrame(`the body must be an array of 1 to ${limits.batchItems} items`);
  }
  const texts = elementTexts(body);
  const requests = items.map((item: unknown, index) => batchRequest(hub, item, texts[index] as string));
  const appended = await appendInOrder(
    hub,
    identity,
    requests.filter((request): request is AppendRequest => !('code' in request)),
  );
  let next = 0;
  const results = requests.map((request) => {
    if ('code' in request) return exchange.describe(request);
    const result = appended[next++] as Appended;
    return result.state === 'ok' ? answerOf(result) : exchange.describe(result);
  });
  exchange.json(200, { results });
}

function batchRequest(
  hub: Hub,
  item: unknown,
  text: string,
): AppendRequest | { readonly code: Code; readonly message: string } {
  if (typeof item !== 'object' || item === null || Array.isArray(item))
    return { code: 'bad_frame', message: 'an item is an object' };
  const { channel, encoding, data, rid, key, expect, trace } = item as Readonly<Record<string, unknown>>;
  if (typeof channel !== 'string') return { code: 'bad_frame', message: '"channel" must be a string' };
  if (rid !== undefined && !isRid(rid))
    return { code: 'bad_frame', message: '"rid" must be 1–64 printable ASCII characters' };
  for (const [name, value] of Object.entries({ key, expect })) {
    if (value !== undefined && typeof value !== 'string')
      return { code: 'bad_frame', message: `"${name}" must be a string` };
  }
  if (typeof key === 'string' && !isKey(key))
    return { code: 'bad_frame', message: `"key" must have 1 to ${limits.keyBytes} bytes` };
  if (trace !== undefined && !isRid(trace))
    return { code: 'bad_frame', message: '"trace" must be 1–64 printable ASCII characters' };
  const rest = {
    channel,
    rid: rid ?? randomId(hub.env),
    key: key as string | undefined,
    expect: expect as string | undefined,
    trace,
  };
  if (encoding === undefined) {
    const json = memberText(text, 'data');
    return { ...rest, encoding: 'json', payload: json === undefined ? undefined : Buffer.from(json) };
  }
  if (encoding !== 'base64' || typeof data !== 'string' || !isBase64(data)) {
    return { code: 'bad_frame', message: '"encoding" may be "base64", "data" is then a string of it' };
  }
  return { ...rest, encoding: 'bytes', payload: Buffer.from(data, 'base64') };
}

/** Standard alphabet, padded (RFC 4648 §4). */
function isBase64(text: string): boolean {
  return text.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(text);
}

/** `DELETE /v1/records` and `POST /v1/close` */
export async function postControl(
  hub: Hub,
  exchange: Exchange,
  identity: Identity,
  kind: 'trim' | 'close',
): Promise<void> {
  const result = await appendControl(hub, identity, exchange.query.one('channel'), kind);
  if (result.state === 'error') exchange.fail(result);
  else exchange.json(200, { cursor: result.cursor });
}
