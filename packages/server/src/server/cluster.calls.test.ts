import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Call, CallResult } from '../hub/call.ts';
import { joinCluster, type Cluster } from './cluster.ts';
import { Air, Clock } from './testing/air.ts';

interface Node {
  readonly cluster: Cluster;
  /** What came in, with the signal of each. */
  readonly calls: { readonly call: Call; readonly gone: AbortSignal }[];
}

async function join(
  clock: Clock,
  air: Air,
  methods: readonly string[] = [],
  answer: (call: Call, gone: AbortSignal) => Promise<CallResult> = ({ encoding, payload }) =>
    Promise.resolve({ encoding, payload }),
): Promise<Node> {
  const calls: Node['calls'] = [];
  const cluster = joinCluster({
    env: clock.env(),
    signals: air.signals(),
    version: '1',
    sessions: () => 0,
    ticketKeyMark: '',
    methods,
    recordBytesMax: () => 100,
    onTrouble: assert.ifError,
    events: {
      onSignal: () => assert.fail('nobody signals'),
      onDisconnect: () => assert.fail('nobody disconnects'),
      onCall(call, gone) {
        calls.push({ call, gone });
        return answer(call, gone);
      },
      onPeer: () => {},
      onOtherTicketKey: () => assert.fail('they have the same key'),
    },
  });
  await Promise.resolve();
  await Promise.resolve();
  return { cluster, calls };
}

const total: Call = {
  method: 'cart.total',
  identity: { kind: 'user', user: 'ann', roles: ['buyer'] },
  encoding: 'json',
  payload: Buffer.from('{"cart":1}'),
};
const waiting = (): AbortSignal => new AbortController().signal;
const never = (): Promise<CallResult> => new Promise(() => {});

test('a call goes to one node that serves its method, with who calls, and its answer comes back', async () => {
  const [clock, air] = [new Clock(), new Air()];
  const asker = await join(clock, air);
  const serving = [await join(clock, air, ['cart.total']), await join(clock, air, ['other', 'cart.total'])];
  const other = await join(clock, air, ['other']);
  for (let n = 0; n < 40; n++) {
    assert.deepEqual(await asker.cluster.call(total, waiting()), { encoding: 'json', payload: total.payload });
  }
  const counts = serving.map(({ calls }) => calls.length);
  assert.equal((counts[0] as number) + (counts[1] as number), 40, 'none of them twice');
  assert.ok(
    counts.every((count) => count > 0),
    `each of them has some: ${String(counts)}`,
  );
  assert.deepEqual([asker.calls, other.calls], [[], []]);
  assert.deepEqual(serving[0]?.calls[0]?.call, total);
  assert.equal(asker.cluster.call({ ...total, method: 'nobody' }, waiting()), undefined);
});

test('a refusal comes back as it was said', async () => {
  const [clock, air] = [new Clock(), new Air()];
  const asker = await join(clock, air);
  await join(clock, air, ['cart.total'], () => Promise.resolve({ code: 'invalid', message: 'no such cart' }));
  assert.deepEqual(await asker.cluster.call(total, waiting()), { code: 'invalid', message: 'no such cart' });
});

test('a node that dies in the middle of a call, or says nothing, leaves it unanswered', async () => {
  const [clock, air] = [new Clock(), new Air()];
  const asker = await join(clock, air);
  const serving = await join(clock, air, ['cart.total'], never);
  const called = asker.cluster.call(total, waiting());
  assert.equal(serving.calls.length, 1);
  air.cut.add(1);
  clock.move(10_000);
  const result = (await called) as { readonly code: string; readonly message: string };
  assert.equal(result.code, 'unanswered');
  assert.match(result.message, /cart\.total.*10000 ms/);
  clock.move(10_000);
  assert.equal(asker.cluster.call(total, waiting()), undefined, 'it is known to have gone');
});

test('a node that says goodbye gets no new calls, and answers those it has', async () => {
  const [clock, air] = [new Clock(), new Air()];
  const asker = await join(clock, air);
  const { promise, resolve } = Promise.withResolvers<CallResult>();
  const serving = await join(clock, air, ['cart.total'], () => promise);
  const called = asker.cluster.call(total, waiting());
  serving.cluster.leave();
  assert.equal(asker.cluster.call(total, waiting()), undefined);
  const result = { encoding: 'bytes', payload: Buffer.from([0, 10, 255]) } as const;
  resolve(result);
  assert.deepEqual(await called, result);
});

test('where nobody waits any more the node that carries it out is told', async () => {
  const [clock, air] = [new Clock(), new Air()];
  const asker = await join(clock, air);
  const serving = await join(clock, air, ['cart.total'], never);
  const gone = new AbortController();
  const called = asker.cluster.call(total, gone.signal);
  assert.equal(serving.calls[0]?.gone.aborted, false);
  gone.abort();
  assert.equal(serving.calls[0]?.gone.aborted, true);
  assert.equal(((await called) as { readonly code: string }).code, 'unanswered');
});

test('what would not pass the broker is refused, and not sent', async () => {
  const [clock, air] = [new Clock(), new Air()];
  const asker = await join(clock, air);
  const serving = await join(clock, air, ['cart.total']);
  const result = await asker.cluster.call({ ...total, payload: Buffer.alloc(9 * 1024) }, waiting());
  assert.equal((result as { readonly code: string }).code, 'too_large');
  assert.equal(serving.calls.length, 0);
});
