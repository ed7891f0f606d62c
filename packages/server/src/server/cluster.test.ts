import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  assert as check,
  array,
  constant,
  constantFrom,
  json,
  nat,
  oneof,
  option,
  property,
  record,
  string,
  uint8Array,
} from 'fast-check';
import type { NodeSignals } from '../log/log.ts';
import { parseAllow as allowOf } from '../auth/allow.ts';
import type { Identity } from '../auth/identity.ts';
import type { SentSignal } from '../hub/signal.ts';
import { joinCluster, type Cluster } from './cluster.ts';
import { decodeNodeMessage, encodeNodeMessage } from './node-message.ts';
import { Air, Clock } from './testing/air.ts';

interface Node {
  readonly cluster: Cluster;
  readonly heard: string[];
}

async function join(clock: Clock, signals: NodeSignals | undefined, ticketKeyMark = 'ours'): Promise<Node> {
  const heard: string[] = [];
  const cluster = joinCluster({
    env: clock.env(),
    signals,
    version: '1',
    sessions: () => 3,
    ticketKeyMark,
    methods: [],
    recordBytesMax: () => 1024,
    onTrouble: assert.ifError,
    events: {
      onSignal: ({ channel, user, payload }) => void heard.push(`signal ${channel} ${user} ${payload.toString()}`),
      onDisconnect: (user) => {
        heard.push(`disconnect ${user}`);
        return 2;
      },
      onCall: () => assert.fail('nobody calls'),
      onPeer: (change) => void heard.push(change),
      onOtherTicketKey: ({ node }) => void heard.push(`other ticket key ${node}`),
    },
  });
  // It listens once the log can be reached: here at once.
  await Promise.resolve();
  await Promise.resolve();
  return { cluster, heard };
}

/** One after the other. */
async function joinThree(clock: Clock, air: Air): Promise<[Node, Node, Node]> {
  return [await join(clock, air.signals()), await join(clock, air.signals()), await join(clock, air.signals())];
}

const typing: SentSignal = {
  channel: 'chat:1',
  user: 'ann',
  instance: 'i',
  key: 'typing',
  to: undefined,
  encoding: 'json',
  payload: Buffer.from('{"typing":true}'),
};

test('nodes learn of each other at once, of a goodbye at once, and of a death within ten seconds', async () => {
  const clock = new Clock();
  const air = new Air();
  const [a, b, c] = await joinThree(clock, air);
  for (const one of [a, b, c]) {
    assert.deepEqual(
      one.cluster
        .peers()
        .map(({ node }) => node)
        .sort(),
      [a, b, c]
        .filter((other) => other !== one)
        .map(({ cluster }) => cluster.node)
        .sort(),
    );
    assert.equal(one.cluster.peers()[0]?.sessions, 3);
  }
  b.cluster.close();
  assert.deepEqual(a.heard, ['node.joined', 'node.joined', 'node.left']);
  air.cut.add(2);
  clock.move(9_000);
  assert.equal(a.cluster.peers().length, 1);
  clock.move(6_000);
  assert.deepEqual(a.heard, ['node.joined', 'node.joined', 'node.left', 'node.gone']);
  air.cut.delete(2);
  clock.move(3_000);
  assert.deepEqual(a.heard, ['node.joined', 'node.joined', 'node.left', 'node.gone', 'node.joined']);
  a.cluster.close();
  c.cluster.close();
});

test('a signal and a disconnect reach every other node, and not the one they come from', async () => {
  const clock = new Clock();
  const air = new Air();
  const [a, b, c] = await joinThree(clock, air);
  for (const node of [a, b, c]) node.heard.length = 0;
  a.cluster.signal(typing);
  const ended = b.cluster.disconnect('ann');
  assert.deepEqual(a.heard, ['disconnect ann']);
  assert.deepEqual(b.heard, ['signal chat:1 ann {"typing":true}']);
  assert.deepEqual(c.heard, ['signal chat:1 ann {"typing":true}', 'disconnect ann']);
  assert.equal(await ended, 4, 'those of both');
});

test('a node that does not say how many sessions it ended is not waited for', async () => {
  const clock = new Clock();
  const air = new Air();
  const [a, b, c] = await joinThree(clock, air);
  air.cut.add(2);
  const ended = a.cluster.disconnect('ann');
  clock.move(2_000);
  assert.equal(await ended, 2);
  assert.deepEqual([b.heard.at(-1), c.heard.at(-1)], ['disconnect ann', 'node.joined']);
});

test('a node that signs tickets with another key is said once, whoever came first; the same key is never said', async () => {
  const clock = new Clock();
  const air = new Air();
  const [a, b] = [await join(clock, air.signals()), await join(clock, air.signals())];
  assert.deepEqual([a.heard, b.heard], [['node.joined'], ['node.joined']]);
  const c = await join(clock, air.signals(), 'another');
  const d = await join(clock, air.signals(), 'a third');
  clock.move(3_000);
  const said = (node: Node): string[] => node.heard.filter((what) => what.startsWith('other'));
  for (const one of [a, b]) assert.deepEqual(said(one), [`other ticket key ${c.cluster.node}`]);
  for (const one of [c, d]) assert.equal(said(one).length, 1);
  for (const { cluster } of [a, b, c, d]) cluster.close();
});

test('a log of one process has nobody to talk to', async () => {
  const alone = await join(new Clock(), undefined);
  alone.cluster.signal(typing);
  assert.equal(await alone.cluster.disconnect('ann'), 0);
  alone.cluster.close();
  assert.deepEqual(alone.cluster.peers(), []);
});

test('what nodes say comes back as it was said; any other bytes are nothing, and never a throw', () => {
  const text = string();
  const plain = { noNullPrototype: true };
  const anyBytes = uint8Array().map((bytes) => Buffer.from(bytes));
  const messages = oneof(
    record(
      {
        say: constantFrom('here' as const, 'bye' as const),
        node: string({ minLength: 1 }),
        version: text,
        sessions: nat(),
        ticketKeyMark: text,
        methods: array(constantFrom('cart.total', 'm')),
      },
      plain,
    ),
    record({ say: constant('disconnect' as const), node: string({ minLength: 1 }), user: text, ask: text }, plain),
    record(
      { say: constant('disconnected' as const), node: string({ minLength: 1 }), ask: text, sessions: nat() },
      plain,
    ),
    record(
      {
        say: constant('call' as const),
        node: string({ minLength: 1 }),
        ask: text,
        method: constant('cart.total'),
        identity: constantFrom<Identity>(
          { kind: 'anonymous', roles: [] },
          { kind: 'user', user: 'ann', roles: ['buyer'], allow: allowOf({ '*': ['call'] }), expiresAtMs: 5 },
          { kind: 'key', keyName: 'shop', roles: [], development: true },
        ),
        encoding: constantFrom('json' as const, 'bytes' as const),
        payload: anyBytes,
      },
      plain,
    ),
    record(
      {
        say: constant('called' as const),
        node: string({ minLength: 1 }),
        ask: text,
        result: oneof(
          record({ encoding: constantFrom('json' as const, 'bytes' as const), payload: anyBytes }, plain),
          record({ code: constant('invalid' as const), message: text }, plain),
          record({ code: constant('internal' as const), message: text, retryMs: nat() }, plain),
        ),
      },
      plain,
    ),
    record({ say: constant('give-up' as const), node: string({ minLength: 1 }), ask: text }, plain),
    record(
      {
        say: constant('signal' as const),
        node: string({ minLength: 1 }),
        channel: constant('chat:1'),
        user: option(text, { nil: undefined }),
        instance: text,
        key: option(text, { nil: undefined }),
        to: option(text, { nil: undefined }),
        encoding: constantFrom('json' as const, 'bytes' as const),
        payload: anyBytes,
      },
      plain,
    ),
  );
  check(property(messages, (message) => assert.deepEqual(decodeNodeMessage(encodeNodeMessage(message)), message)));
  check(property(uint8Array(), (bytes) => void decodeNodeMessage(Buffer.from(bytes))));
  const earlier = decodeNodeMessage(Buffer.from('{"say":"here","node":"a","version":"0","sessions":1}\n'));
  assert.equal(earlier?.say, 'here', 'a node of before the mark of the key is a node');
  check(property(json(), (json) => assert.equal(decodeNodeMessage(Buffer.from(`${json}\n`)), undefined)));
});
