import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TidewayError } from '@tideway/protocol';
import type { Identity } from '../auth/identity.ts';
import type { CallResult, MethodOptions } from '../hub/call.ts';
import { Methods } from './methods.ts';
import { Clock } from './testing/air.ts';

const ann: Identity = { kind: 'user', user: 'ann', roles: ['buyer'] };

/** Calls one method that is made of these options. */
function serve(options: MethodOptions) {
  const clock = new Clock();
  const failures: string[] = [];
  const methods = new Methods({
    env: clock.env(),
    methods: { m: options },
    bytesMax: () => 100,
    onFailed: (message, cause) => failures.push(`${message}: ${(cause as Error).message}`),
  });
  const gone = new AbortController();
  const call = (argument: string | Buffer = 'null', identity = ann): Promise<CallResult> =>
    methods.carryOut(
      {
        method: 'm',
        identity,
        encoding: typeof argument === 'string' ? 'json' : 'bytes',
        payload: Buffer.from(argument as string),
      },
      gone.signal,
    );
  return { call, clock, failures, gone };
}

function textOf(result: CallResult): string {
  assert.ok('payload' in result, JSON.stringify(result));
  return `${result.encoding} ${result.payload.toString('latin1')}`;
}

function codeOf(result: CallResult): string {
  assert.ok('code' in result, JSON.stringify(result));
  return result.code;
}

test('a method gets the argument and who calls, and gives JSON or bytes', async () => {
  const { call } = serve({
    call: 'user',
    handle: (argument, { user, roles }) => (argument === null ? undefined : { argument, user, roles }),
  });
  assert.equal(textOf(await call('{"n":1}')), 'json {"argument":{"n":1},"user":"ann","roles":["buyer"]}');
  assert.equal(textOf(await call()), 'json null', 'nothing in, nothing out');
  const echo = serve({ call: 'user', handle: (argument) => argument });
  assert.equal(textOf(await echo.call(Buffer.from('\x00\n\xff', 'latin1'))), 'bytes \x00\n\xff');
});

test('nobody may where nothing is stated; else whoever the words, roles or function name', async () => {
  const anybody: Identity = { kind: 'anonymous', roles: [] };
  const shop: Identity = { kind: 'key', keyName: 'shop', roles: [] };
  const may = async (who: MethodOptions['call'], identity: Identity): Promise<string> => {
    const result = await serve({ ...(who !== undefined && { call: who }), handle: () => 1 }).call('1', identity);
    return 'code' in result ? result.code : 'ok';
  };
  assert.equal(await may(undefined, shop), 'forbidden');
  assert.equal(await may('anyone', anybody), 'ok');
  assert.equal(await may('user', anybody), 'unauthenticated');
  assert.equal(await may('user', ann), 'ok');
  assert.equal(await may('key', ann), 'forbidden');
  assert.equal(await may('key', shop), 'ok');
  assert.equal(await may(['seller', 'buyer'], ann), 'ok');
  assert.equal(await may(['seller'], ann), 'forbidden');
  assert.equal(await may(({ user }, method) => user === 'ann' && method === 'm', ann), 'ok');
  assert.equal(await may(async () => false, ann), 'forbidden');
  assert.equal(await may('user', { ...ann, allow: { 'chat:*': ['subscribe'] } }), 'forbidden', 'narrowed to channels');
  assert.equal(await may('user', { ...ann, allow: { '*': ['call'] } }), 'ok');
});

test('a function that decides and throws is internal, and its words are for the log', async () => {
  const { call, failures } = serve({
    call: () => {
      throw new Error('no database');
    },
    handle: () => assert.fail('not permitted'),
  });
  const result = await call();
  assert.equal(codeOf(result), 'internal');
  assert.doesNotMatch(JSON.stringify(result), /database/);
  assert.deepEqual(failures, ['the function that decides about call on m failed: no database']);
});

test('what a method throws on purpose is the answer; anything else is internal, once in the log', async () => {
  const refusing = serve({
    call: 'user',
    handle() {
      throw new TidewayError('invalid', 'no such cart');
    },
  });
  assert.deepEqual(await refusing.call(), { code: 'invalid', message: 'no such cart' });
  assert.deepEqual(refusing.failures, []);
  const failing = serve({ call: 'user', handle: () => Promise.reject(new Error('secret')) });
  const result = await failing.call();
  assert.equal(codeOf(result), 'internal');
  assert.doesNotMatch(JSON.stringify(result), /secret/);
  assert.deepEqual(failing.failures, ['the method m failed: secret']);
});

test('a result that is no JSON is internal, one that is too large is too_large', async () => {
  for (const value of [() => 1, Symbol('x'), 1n]) {
    const { call, failures } = serve({ call: 'user', handle: () => value });
    assert.equal(codeOf(await call()), 'internal');
    assert.equal(failures.length, 1);
  }
  const { call } = serve({ call: 'user', handle: () => 'x'.repeat(99) });
  assert.equal(codeOf(await call()), 'too_large');
});

test('in the time of a call there is an answer, and the signal says that it is over', async () => {
  const heard: AbortSignal[] = [];
  const handle: MethodOptions['handle'] = (_argument, { signal }) => {
    heard.push(signal);
    return new Promise(() => {});
  };
  const slow = serve({ call: 'anyone', handle });
  const late = slow.call();
  await Promise.resolve();
  slow.clock.move(10_000);
  assert.equal(codeOf(await late), 'unanswered');
  const left = serve({ call: 'anyone', handle });
  const void_ = left.call();
  await Promise.resolve();
  left.gone.abort();
  assert.equal(codeOf(await void_), 'unanswered');
  assert.deepEqual(
    heard.map(({ aborted }) => aborted),
    [true, true],
  );
});
