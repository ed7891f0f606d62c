/**
 * A call of a method of the application (CAL-6), in an entry of its own: pages that make none do not load it. Calls go
 * by HTTP, whichever transport the client has, so a call lives on when its connection moves, and its end is its own.
 */
import { TidewayError } from '@tideway/protocol';
import { type Client, TidewayClient } from './client.ts';
import { encodePayload } from './payload.ts';

export interface CallOptions {
  /** Gives the call up: the promise rejects with its reason, and the method is told that nobody waits. */
  readonly signal?: AbortSignal;
}

/**
 * Calls a method with JSON, or bytes where the argument is a `Uint8Array`, as who the client is; resolves with the
 * result. It is made once: sent again only where a token was refused, before anything was carried out.
 *
 * @throws TidewayError `unanswered` where nobody knows what became of it, else why it was refused: `method_unknown`,
 *   `forbidden`, `too_large`, or what the application says; the reason of `signal`
 * @example const total = await call(client, 'cart.total', { cart: 42 })
 */
export async function call(
  client: Pick<Client, 'state' | 'error'>,
  method: string,
  argument?: unknown,
  { signal }: CallOptions = {},
): Promise<unknown> {
  if (!(client instanceof TidewayClient)) throw new TypeError('call needs the client that connect gave');
  if (client.state === 'closed') throw client.error ?? new TidewayError('disconnected', 'the client was closed');
  const body = argument === undefined ? undefined : encodePayload(argument);
  const kind = typeof body === 'object' ? 'application/octet-stream' : 'application/json';
  const path = `/v1/calls?${new URLSearchParams({ method })}`;
  try {
    const headers = { 'Content-Type': kind };
    const response = await client.core.http.request({ method: 'POST', path, headers, body, signal });
    const isJson = response.headers.get('Content-Type')?.startsWith('application/json') === true;
    return isJson ? await response.json() : new Uint8Array(await response.arrayBuffer());
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof TidewayError) throw error;
    throw new TidewayError('unanswered', `${method}: the connection ended before the answer`, { cause: error });
  }
}
