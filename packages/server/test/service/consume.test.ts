import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { GroupState } from '../../src/service/group-state.ts';
import { consume, type ServiceRecord } from '../../src/service/service.ts';
import { assertPlacesOnlyGrow, DEADLINE, Handled, KEY, member, owned, startServer, Teller } from './rig.ts';

const CHANNELS = Array.from({ length: 20 }, (_, n) => `order:${n}`);

test('a group handles every record once while nothing fails, and its next member goes on behind', async (t) => {
  const { url } = await startServer(t);
  const teller = new Teller(url);
  await teller.appendAll(CHANNELS, 10);
  const handled = new Handled();
  const first = member(t, 'first', handled, { url });
  await first.ready;
  await t.waitFor(() => assert.ok(handled.isComplete(CHANNELS.length, 10)), DEADLINE);
  assert.equal(first.slots.length, 64);
  await t.waitFor(() => assert.equal(first.lag, 0), DEADLINE);
  await first.close();
  const { members, slots } = (await teller.states('stock')).at(-1) as GroupState;
  assert.deepEqual([members, slots.filter(({ owner }) => owner !== undefined)], [[], []], 'it left nothing behind');

  const rest = new Handled();
  const second = member(t, 'second', rest, { url });
  await second.ready;
  await teller.append('order:new', 0);
  await t.waitFor(() => assert.equal(rest.events.length, 1), DEADLINE);
  assert.deepEqual(rest.events, [{ channel: 'order:new', n: 0, by: 'second' }]);
  handled.assertComplete(CHANNELS, 10);
  assert.equal(handled.events.length, CHANNELS.length * 10);
});

test('members that come and go share the slots, and nothing is skipped or out of order', async (t) => {
  const { url } = await startServer(t);
  const teller = new Teller(url);
  const handled = new Handled();
  const leaseMs = 15_000;
  const first = member(t, 'first', handled, { url, leaseMs });
  await first.ready;
  const appending = teller.appendAll(CHANNELS, 60);
  const second = member(t, 'second', handled, { url, leaseMs });
  const third = member(t, 'third', handled, { url, leaseMs });
  await t.waitFor(() => {
    const shares = [first, second, third].map(({ slots }) => slots.length);
    assert.deepEqual(
      shares.toSorted((a, b) => a - b),
      [21, 21, 22],
    );
    assert.equal(new Set([first, second, third].flatMap(({ slots }) => slots)).size, 64);
  }, DEADLINE);
  await first.close();
  await t.waitFor(() => assert.deepEqual([second.slots.length, third.slots.length], [32, 32]), DEADLINE);
  await appending;
  await t.waitFor(() => assert.ok(handled.isComplete(CHANNELS.length, 60)), DEADLINE);
  handled.assertComplete(CHANNELS, 60);
  assert.equal(handled.events.length, CHANNELS.length * 60, 'a clean hand-over repeats nothing');
  assertPlacesOnlyGrow(await teller.states('stock'));
});

test('a record that fails is tried again while only its channel waits; what keeps failing is a dead letter, once', async (t) => {
  const { url } = await startServer(t);
  const teller = new Teller(url);
  await teller.appendAll(['order:bad', 'order:good'], 4);
  const tries: string[] = [];
  const dead: ServiceRecord[] = [];
  const start = (): ReturnType<typeof consume> =>
    consume({
      url,
      key: KEY,
      group: 'stock',
      channels: ['order:*'],
      retry: { attempts: 3, minMs: 1, maxMs: 5 },
      onDead: (record) => dead.push(record),
      handle({ channel, data }, { attempt }) {
        const { n } = data as { n: number };
        tries.push(`${channel} ${n} ${attempt}`);
        if (channel === 'order:bad' && (n === 1 || (n === 2 && attempt === 1))) throw new Error(`no ${n}`);
      },
    });
  owned(t, start());
  await t.waitFor(() => assert.ok(tries.includes('order:bad 3 1') && tries.includes('order:good 3 1')), DEADLINE);
  assert.deepEqual(
    tries.filter((line) => line.startsWith('order:bad')),
    ['0 1', '1 1', '1 2', '1 3', '2 1', '2 2', '3 1'].map((line) => `order:bad ${line}`),
  );
  const [letter, ...more] = await teller.history('dead:stock');
  assert.ok(letter !== undefined);
  assert.deepEqual(more, []);
  const [, bad] = await teller.history('order:bad');
  const { time, ...data } = letter.data as Record<string, unknown>;
  assert.deepEqual(data, {
    group: 'stock',
    channel: 'order:bad',
    cursor: bad?.cursor,
    rid: 'n1',
    attempts: 3,
    error: 'Error: no 1',
    data: { n: 1 },
  });
  assert.equal(typeof time, 'number');
  assert.equal(letter.rid, `stock/${bad?.cursor}`);
  assert.deepEqual(
    dead.map(({ id }) => id),
    [bad?.cursor],
  );
});

test('from now, bytes, and a record’s id', async (t) => {
  const { url } = await startServer(t);
  const teller = new Teller(url);
  await teller.append('order:1', 0);
  const records: ServiceRecord[] = [];
  const consumer = owned(
    t,
    consume({
      url,
      key: KEY,
      group: 'late',
      channels: ['order:1'],
      from: 'now',
      handle: (record) => void records.push(record),
    }),
  );
  await consumer.ready;
  const headers = { authorization: `Bearer ${KEY}`, 'content-type': 'application/octet-stream' };
  const answer = await fetch(`${url}/v1/records?channel=order:1`, { method: 'POST', headers, body: 'bytes' });
  const { cursor } = (await answer.json()) as { cursor: string };
  await t.waitFor(() => assert.equal(records.length, 1), DEADLINE);
  const [record] = records as [ServiceRecord];
  assert.deepEqual(
    [record.id, record.cursor, Buffer.from(record.data as Uint8Array).toString()],
    [cursor, cursor, 'bytes'],
  );
});

test('records that a trim took before they were handled are told', async (t) => {
  const { url } = await startServer(t);
  const teller = new Teller(url);
  await teller.appendAll(['order:a', 'order:b'], 3);
  await fetch(`${url}/v1/records?channel=order:a`, { method: 'DELETE', headers: { authorization: `Bearer ${KEY}` } });
  const gaps: unknown[] = [];
  const handled = new Handled();
  member(t, 'only', handled, { url, onGap: (gap) => gaps.push(gap) });
  await t.waitFor(() => assert.equal(handled.events.length, 3), DEADLINE);
  handled.assertComplete(['order:b'], 3);
  assert.deepEqual(gaps, [{ reason: 'trimmed', partition: 0, channel: 'order:a' }]);
});

test('a permission or a namespace that is missing is said with what to configure', async (t) => {
  const key = { append: 'key', subscribe: 'key', history: 'key' } as const;
  const lacking = [
    [
      { order: key, dead: key },
      /no namespace "group".*namespaces: \{ group: \{ append: 'key', subscribe: 'key', history: 'key' \} \}/,
    ],
    [{ order: key, group: key }, /no namespace "dead".*namespaces: \{ dead: \{ append: 'key' \} \}/],
    [
      { order: { append: 'key' as const }, group: key, dead: key },
      /subscribe on order:\* .*namespaces: \{ order: \{ subscribe: 'key', history: 'key' \} \}/,
    ],
    [{ order: key, group: { ...key, append: ['nobody'] }, dead: key }, /append on group:stock .*namespaces: \{ group:/],
  ] as const;
  for (const [namespaces, message] of lacking) {
    const { url } = await startServer(t, { namespaces });
    const consumer = member(t, 'none', new Handled(), { url });
    await assert.rejects(consumer.ready, { name: 'TidewayError', message });
    await consumer.close();
  }
  const { url } = await startServer(t);
  await assert.rejects(member(t, 'none', new Handled(), { url, key: 'tw_key_wrong' }).ready, {
    code: 'unauthenticated',
  });
});

test('a member that begins finds out what it may without a refusal in the log of the server', async (t) => {
  const events: string[] = [];
  const { url } = await startServer(t, { logger: ({ event }) => events.push(event) });
  await member(t, 'only', new Handled(), { url }).ready;
  assert.deepEqual(
    events.filter((event) => event.endsWith('.refused')),
    [],
  );
  // One that may not append is refused by its own first look, too.
  await assert.rejects(member(t, 'none', new Handled(), { url, deadLetter: '$system:dead' }).ready, {
    code: 'forbidden',
    message: /append on \$system:dead is not allowed/,
  });
  assert.ok(!events.includes('append.refused'));
});

test('a member that wants other channels than the others is refused while they are there', async (t) => {
  const { url } = await startServer(t);
  const first = member(t, 'first', new Handled(), { url });
  await first.ready;
  const other = member(t, 'other', new Handled(), { url, channels: ['order:eu*'] });
  await assert.rejects(other.ready, { code: 'invalid', message: /read order:\*, this one would read order:eu\*/ });
  await first.close();
  const later = member(t, 'later', new Handled(), { url, channels: ['order:eu*'] });
  await later.ready;
  assert.deepEqual((await new Teller(url).states('stock')).at(-1)?.channels, ['order:eu*']);
});

test('a group whose state is no longer kept begins with the oldest records, and says so', async (t) => {
  const { url } = await startServer(t);
  const teller = new Teller(url);
  const first = member(t, 'first', new Handled(), { url, from: 'now' });
  await first.ready;
  await first.close();
  await fetch(`${url}/v1/records?channel=group:stock`, {
    method: 'DELETE',
    headers: { authorization: `Bearer ${KEY}` },
  });
  await teller.append('order:1', 0);
  const errors: string[] = [];
  const handled = new Handled();
  member(t, 'second', handled, { url, from: 'now', onError: (error) => errors.push(String(error)) });
  await t.waitFor(() => assert.equal(handled.events.length, 1), DEADLINE);
  assert.match(
    errors.join(),
    /what group stock had written into group:stock is no longer kept: it begins with the oldest/,
  );
});
