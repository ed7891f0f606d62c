import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TidewayError } from '@tideway/protocol';
import { Credentials } from './credentials.ts';
import type { Env } from './env.ts';
import { Http } from './http.ts';

/** What a request is told when the network answers this. */
async function errorFor(status: number, body: string): Promise<TidewayError> {
  // Only `fetch` is asked of this environment.
  const env = { fetch: () => Promise.resolve(new Response(body, { status })) } as unknown as Env;
  const http = new Http(env, { http: 'http://server', socket: 'ws://server' }, new Credentials(env, undefined), 'me');
  try {
    await http.send({ method: 'GET', path: '/v1/session' }, undefined);
  } catch (error) {
    assert.ok(error instanceof TidewayError);
    return error;
  }
  throw new Error('it was taken for success');
}

test("a proxy's own error can be tried again: the server behind it is only away", async () => {
  for (const status of [502, 503, 504, 429, 408]) {
    const error = await errorFor(status, '<html>Bad Gateway</html>');
    assert.deepEqual([error.code, typeof error.retryMs], ['internal', 'number'], String(status));
  }
});

test('what the server itself refuses stays as it said it', async () => {
  const refused = await errorFor(403, '{"error":{"code":"forbidden","message":"no","ref":"r1"}}');
  assert.deepEqual([refused.code, refused.ref, refused.retryMs], ['forbidden', 'r1', undefined]);
  const unknown = await errorFor(404, 'no such page');
  assert.deepEqual([unknown.code, unknown.retryMs], ['internal', undefined]);
});
