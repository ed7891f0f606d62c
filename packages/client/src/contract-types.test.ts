/**
 * What the contract makes of the client's types. The compiler is the test: a line marked as an error that compiles is
 * an error itself. Run, it shows that the run-time contract parses what is read.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as v from 'valibot';
import { contract } from '@tideway/protocol';
import { collect, createScene } from '../test/scene.ts';
import type { Channel } from './channel.ts';
import type { Client } from './client.ts';
import { connect } from './connect.ts';
import { connectIn } from './connect.ts';
import type { ChannelRecord } from './record.ts';

const app = contract({
  'chat:{room}': {
    record: v.object({ text: v.string(), at: v.optional(v.pipe(v.string(), v.transform(Number)), '0') }),
    signal: v.object({ typing: v.boolean() }),
  },
  'ticker:{market}/{symbol}': { record: v.object({ price: v.number() }), keyed: true },
  'news:all': {},
});
type App = typeof app;

/** True when the two types are the same. */
type Same<A, B> = [A, B] extends [B, A] ? true : false;
function same<A, B>(_: Same<A, B>): void {}

/** Compiled, never called: there is no server. */
export function typed(client: Client<App>): void {
  const chat = client.channel('chat:{room}', { room: '42' });
  void chat.append({ text: 'hi' });
  void chat.append({ text: 'hi', at: '5' });
  // @ts-expect-error a wrong payload does not compile
  void chat.append({ txt: 'hi' });
  // @ts-expect-error nor one of another type
  void chat.append({ text: 5 });
  chat.signal({ typing: true });
  // @ts-expect-error a wrong signal does not compile
  chat.signal({ typing: 'yes' });
  // @ts-expect-error a channel without signals takes none
  client.channel('ticker:{market}/{symbol}', { market: 'x', symbol: 'y' }).signal({});
  // @ts-expect-error parameters are needed
  client.channel('chat:{room}');
  // @ts-expect-error all of them
  client.channel('ticker:{market}/{symbol}', { market: 'x' });
  // @ts-expect-error and by their names
  client.channel('chat:{room}', { rom: '42' });
  // @ts-expect-error and no more than those
  client.channel('chat:{room}', { room: '42', floor: '1' });
  // @ts-expect-error a channel that is not in the contract does not compile
  client.channel('chess:{game}', { game: '1' });
  client.channel('news:all');
  // @ts-expect-error a pattern without parameters takes none
  client.channel('news:all', { room: '1' });
  // @ts-expect-error what to do about a gap has to be said
  chat.read({ from: 'now' });
  // @ts-expect-error also by a handler
  chat.on({ from: 'now' }, () => {});
  // Without the run-time contract reading gives what was appended.
  same<Read<typeof chat>, { text: string; at?: string | undefined }>(true);
}

type Read<C> = C extends Channel<infer Data, infer _Input, infer _Signal, infer _SignalInput> ? Data : never;

export function parsed(): void {
  const client = connect({ url: 'http://localhost', contract: app });
  const chat = client.channel('chat:{room}', { room: '42' });
  same<Read<typeof chat>, { text: string; at: number }>(true);
  void chat.append({ text: 'hi', at: '5' });
  // @ts-expect-error what is appended is the contract's input
  void chat.append({ text: 'hi', at: 5 });
}

export function untyped(): void {
  const client = connect({ url: 'http://localhost' });
  const chat = client.channel('chat:42');
  same<Read<typeof chat>, unknown>(true);
  void chat.append({ anything: true });
  chat.signal('anything');
  client.channel('chat:{room}', { room: '42' });
  // @ts-expect-error a pattern's parameters are needed here too
  client.channel('chat:{room}');
}

/** The type of the contract is enough, and what is appended has exactly its input types. */
export function withTypeOnly(): void {
  const client = connect<App>({ url: 'http://localhost' });
  same<Client<App>, typeof client>(true);
  const chat = client.channel('chat:{room}', { room: '42' });
  same<Parameters<(typeof chat)['append']>[0], { text: string; at?: string | undefined }>(true);
  same<Parameters<(typeof chat)['signal']>[0], { typing: boolean }>(true);
  // @ts-expect-error more than the contract knows
  void chat.append({ text: 'hi', extra: true });
}

test('a reader with the run-time contract gets what it parses, and marks what does not fit', async () => {
  const { world, server, network } = createScene();
  const errors: Error[] = [];
  const client = connectIn(world.env(network), {
    url: 'http://model.test',
    contract: app,
    onError: (error) => errors.push(error as Error),
  });
  server.append('chat:1', { text: 'new', at: '5' });
  server.append('chat:1', { body: 'old' });
  server.append('chat:1', { text: 'last' });
  const channel = client.channel('chat:{room}', { room: '1' });
  const items = collect(channel.read({ from: 'oldest', onGap: 'throw' }).items());
  const records = collect<ChannelRecord>(channel.read({ from: 'oldest', onGap: 'throw' }));
  await world.until(() => records.items.length === 2 && client.state === 'live', 'both');
  await world.pass(10);
  assert.deepEqual(
    items.items.map((item) => (item.type === 'record' ? item.record.data : item.type)),
    [{ text: 'new', at: 5 }, 'invalid', { text: 'last', at: 0 }, 'live'],
  );
  const invalid = items.items.find((item) => item.type === 'invalid');
  assert.deepEqual(invalid?.type === 'invalid' && invalid.record.data, { body: 'old' });
  assert.deepEqual(
    records.items.map((record) => record.data),
    [
      { text: 'new', at: 5 },
      { text: 'last', at: 0 },
    ],
  );
  assert.equal(errors.length, 1);
  assert.match(errors[0]?.message ?? '', /chat:1 was left out: text: /);
  client.close();
});

test('an asynchronous validator is refused at its first use, with the channel named', async () => {
  const { world, server, network } = createScene();
  const slow = contract({
    'chat:{room}': {
      record: v.pipeAsync(
        v.string(),
        v.checkAsync(() => Promise.resolve(true)),
      ),
    },
  });
  const client = connectIn(world.env(network), { url: 'http://model.test', contract: slow });
  server.append('chat:1', 'x');
  const read = collect(client.channel('chat:{room}', { room: '1' }).read({ from: 'oldest', onGap: 'throw' }));
  await world.until(() => read.isDone, 'the end');
  assert.match(String(read.error), /chat:1 validates asynchronously/);
  client.close();
});

test('parameters are encoded, so that any text names a channel (NAM-3)', () => {
  const { connect } = createScene();
  const client = connect();
  assert.equal(client.channel('chat:{room}', { room: 'Général 1' }).name, 'chat:G~C3~A9n~C3~A9ral~201');
  assert.throws(() => client.channel('no name'), /not a channel name/);
  client.close();
  assert.throws(() => client.channel('chat:1'), /closed/);
});
