/** Calls over HTTP (PROTOCOL.md CAL-6): the body is the argument, the answer's body the result. */
import { limits } from '@tideway/protocol';
import type { Identity } from '../auth/identity.ts';
import type { CallTaker } from '../hub/call-taker.ts';
import { withRetry } from '../hub/refusal.ts';
import type { Exchange } from './exchange.ts';

/** `POST /v1/calls` */
export async function postCall(calls: CallTaker, exchange: Exchange, identity: Identity): Promise<void> {
  const method = exchange.query.one('method');
  const body = await exchange.body(limits.callBytes + limits.headerBytes, calls.bytesMax);
  const gone = new AbortController();
  exchange.response.once('close', () => gone.abort());
  const encoding = exchange.hasBytes ? 'bytes' : 'json';
  const payload = body.length === 0 && encoding === 'json' ? undefined : body;
  const result = await calls.take(identity, { method, encoding, payload }, gone.signal);
  if ('code' in result) return exchange.fail(withRetry(result));
  exchange.bytes(200, result.payload, {
    'content-type': result.encoding === 'json' ? 'application/json; charset=utf-8' : 'application/octet-stream',
  });
}
