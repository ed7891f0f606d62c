/** PROTOCOL.md §5 from outside, but for resuming: where a subscription starts, and what another command does to it. */
import assert from 'node:assert/strict';
import { appendMany, cursorOf, startOf, textOf } from './records.ts';
import type { Fields } from './talk.ts';
import { check, type Check } from './wire.ts';

export const subscribeChecks: readonly Check[] = [
  check(
    'SUB-2 SUB-3',
    'now is the default: the place is the newest, nothing older comes, resumed is absent',
    async (wire) => {
      const writer = await wire.session();
      const channel = wire.channel();
      const cursors = await appendMany(writer, channel, 3);
      for (const from of [undefined, 'now', 'last:0']) {
        const talk = await wire.session();
        const ok = await talk.subscribe(channel, from);
        assert.equal(ok['channel'], channel);
        assert.equal(ok['cursor'], cursors[2]);
        assert.equal(ok['head'], cursors[2]);
        assert.ok(!('resumed' in ok) && !('reason' in ok), JSON.stringify(ok));
        await writer.append(channel, `"after ${String(from)}"`);
        assert.equal(textOf(await talk.nextOf('record', channel)), `"after ${String(from)}"`);
        const page = await wire.http('GET', '/v1/records', { query: { channel, limit: '1' } });
        cursors[2] = (page.json as { next: string }).next;
      }
    },
  ),

  check('SUB-2', 'oldest is the floor: everything comes, then what is new', async (wire) => {
    const writer = await wire.session();
    const channel = wire.channel();
    await appendMany(writer, channel, 3);
    const { ok, talk } = await startOf(wire, channel, 'oldest');
    assert.ok((ok['cursor'] as string) < (ok['head'] as string));
    await writer.append(channel, '4');
    assert.deepEqual((await talk.records(channel, 4)).map(textOf), ['1', '2', '3', '4']);
  }),

  check(
    'SUB-2',
    'last:N is just before the N-th newest record, with fewer records the floor, and neither is a gap',
    async (wire) => {
      const writer = await wire.session();
      const channel = wire.channel();
      const cursors = await appendMany(writer, channel, 5);
      for (const [from, texts] of [
        ['last:1', ['5']],
        ['last:3', ['3', '4', '5']],
        ['last:5', ['1', '2', '3', '4', '5']],
        ['last:1000', ['1', '2', '3', '4', '5']],
      ] as const) {
        const { ok, talk } = await startOf(wire, channel, from);
        assert.ok(!('resumed' in ok));
        assert.equal(ok['head'], cursors[4]);
        const records = await talk.records(channel, texts.length);
        assert.deepEqual(records.map(textOf), texts);
        assert.ok((records[0]?.header['prev'] as string) <= (ok['cursor'] as string));
        await talk.fence();
        assert.ok(!talk.heard.all.some((frame) => frame.op === 'gap'));
      }
      const empty = await startOf(wire, wire.channel(), 'last:10');
      assert.equal(empty.ok['head'], empty.ok['cursor']);
      // The newest record lies below the floor: there is none behind the place.
      assert.equal((await wire.http('DELETE', '/v1/records', { query: { channel } })).status, 200);
      const trimmed = await startOf(wire, channel, 'last:10');
      assert.equal(trimmed.ok['head'], trimmed.ok['cursor']);
      assert.ok((trimmed.ok['cursor'] as string) > (cursors[4] as string));
    },
  ),

  check(
    'SUB-1 SUB-3',
    'a list is answered in its order, each item by itself, and a refused one does not touch the others',
    async (wire) => {
      const talk = await wire.session();
      const [a, b] = [wire.channel(), wire.channel()];
      await appendMany(talk, b, 2);
      const ok = await talk.ok({
        op: 'subscribe',
        channels: [a, { channel: b, from: 'oldest' }, 'Nope', { channel: wire.channel(), from: 'rubbish' }],
      });
      const items = ok['channels'] as Fields[];
      assert.deepEqual([items[0]?.['channel'], items[1]?.['channel'], items[2]?.['channel']], [a, b, 'Nope']);
      assert.equal(items[2]?.['code'], 'channel_unknown');
      assert.equal(items[3]?.['code'], 'bad_cursor');
      assert.ok(typeof items[2]?.['message'] === 'string');
      await talk.append(a, '"a"');
      assert.deepEqual((await talk.records(b, 2)).map(textOf), ['1', '2']);
      assert.equal(textOf(await talk.nextOf('record', a)), '"a"');
    },
  ),

  check(
    'SUB-1',
    'outer fields are the defaults of the items; an outer cursor for several channels is bad_frame',
    async (wire) => {
      const talk = await wire.session();
      const [a, b] = [wire.channel(), wire.channel()];
      const cursors = await appendMany(talk, a, 2);
      await appendMany(talk, b, 2);
      await talk.refused('bad_frame', { op: 'subscribe', channels: [a, b], from: cursors[0] });
      await talk.ok({ op: 'subscribe', channels: [a, { channel: b, from: 'last:1' }], from: 'oldest' });
      assert.deepEqual((await talk.records(a, 2)).map(textOf), ['1', '2']);
      const one = await wire.session();
      const ok = await one.ok({ op: 'subscribe', channels: [a], from: cursors[0] });
      assert.equal((ok['channels'] as Fields[])[0]?.['resumed'], true);
      assert.equal(textOf(await one.nextOf('record', a)), '2');
    },
  ),

  check('SUB-4 LIM-1', 'a subscription over limits.subscriptions is limit_exceeded, the others live', async (wire) => {
    const talk = await wire.connect();
    const { limits } = (await talk.ok(wire.hello())) as { limits: { subscriptions: number; channelsPerFrame: number } };
    if (limits.subscriptions > 5_000) wire.skip(`this server allows ${limits.subscriptions} subscriptions`);
    const base = wire.channel();
    const names = Array.from({ length: limits.subscriptions + 1 }, (_, i) => `${base}-${i}`);
    const refused: Fields[] = [];
    for (let i = 0; i < names.length; i += limits.channelsPerFrame) {
      const ok = await talk.ok({ op: 'subscribe', channels: names.slice(i, i + limits.channelsPerFrame) });
      refused.push(...(ok['channels'] as Fields[]).filter((item) => 'code' in item));
    }
    assert.deepEqual(
      refused.map((item) => [item['channel'], item['code']]),
      [[names.at(-1), 'limit_exceeded']],
    );
    await talk.append(names[0] as string, '"first"');
    assert.equal(textOf(await talk.nextOf('record', names[0] as string)), '"first"');
    await talk.ok({ op: 'unsubscribe', channel: names[0] });
    await talk.subscribe(names.at(-1) as string);
  }),

  check('SUB-7', 'ok comes before every record of the subscription, and its cursor is below them', async (wire) => {
    const writer = await wire.session();
    const channel = wire.channel();
    await appendMany(writer, channel, 50);
    const { ok, talk } = await startOf(wire, channel, 'oldest');
    await talk.records(channel, 50);
    const first = talk.heard.all.findIndex((frame) => frame.op === 'record');
    const answer = talk.heard.all.findIndex((frame) => frame.op === 'ok' && frame.header['channel'] === channel);
    assert.ok(answer >= 0 && answer < first);
    assert.ok(talk.heard.all.every((frame) => frame.op !== 'record' || cursorOf(frame) > (ok['cursor'] as string)));
  }),

  check(
    'SUB-12',
    'a subscribe waits until earlier appends of the session to that channel have their outcome',
    async (wire) => {
      const talk = await wire.session();
      for (let round = 0; round < 5; round++) {
        const channel = wire.channel();
        const appends = Array.from({ length: 10 }, (_, i) =>
          talk.request({ op: 'append', channel, rid: `a${i}` }, String(i)),
        );
        const subscribe = talk.request({ op: 'subscribe', channel });
        const later = talk.request({ op: 'append', channel, rid: 'later' }, '"later"');
        const earlier = await talk.answers(appends);
        const place = cursorOf(await talk.answer(subscribe));
        for (const answer of earlier) assert.ok(cursorOf(answer) <= place);
        assert.ok(cursorOf(await talk.answer(later)) > place);
        const record = await talk.nextOf('record', channel);
        assert.equal(textOf(record), '"later"', 'a record appended before the subscribe was delivered behind now');
      }
    },
  ),

  check('SUB-12', 'a second subscribe replaces the first: after its ok only the new one delivers', async (wire) => {
    const talk = await wire.session();
    const channel = wire.channel();
    await appendMany(talk, channel, 5);
    await talk.subscribe(channel, 'oldest');
    await talk.records(channel, 5);
    await talk.subscribe(channel, 'last:2');
    assert.deepEqual((await talk.records(channel, 2)).map(textOf), ['4', '5']);
    await talk.append(channel, '6');
    assert.equal(textOf(await talk.nextOf('record', channel)), '6');
    await talk.fence();
    assert.deepEqual(
      talk.heard.unseen.filter((frame) => frame.op === 'record'),
      [],
    );
  }),

  check('SUB-12', 'a second subscribe that fails leaves the first as it is', async (wire) => {
    const talk = await wire.session();
    const channel = wire.channel();
    await talk.subscribe(channel);
    await talk.refused('bad_cursor', { op: 'subscribe', channel, from: 'rubbish' });
    await talk.append(channel, '"still there"');
    assert.equal(textOf(await talk.nextOf('record', channel)), '"still there"');
  }),

  check(
    'SUB-13',
    'after the ok of unsubscribe nothing of the channel comes; without a subscription it is ok too',
    async (wire) => {
      const talk = await wire.session();
      const channel = wire.channel();
      await talk.ok({ op: 'unsubscribe', channel });
      await talk.subscribe(channel);
      await talk.append(channel);
      await talk.nextOf('record', channel);
      await talk.ok({ op: 'unsubscribe', channel });
      const after = talk.heard.all.length;
      await appendMany(talk, channel, 20);
      await talk.fence();
      assert.ok(!talk.heard.all.slice(after).some((frame) => frame.header['channel'] === channel));
    },
  ),

  check('SUB-15', '1,000 channels are taken up in one round trip', async (wire) => {
    const talk = await wire.connect();
    const hello = talk.request(wire.hello());
    const base = wire.channel();
    const asked = Array.from({ length: 10 }, (_, frame) =>
      talk.request({ op: 'subscribe', channels: Array.from({ length: 100 }, (_, i) => `${base}-${frame * 100 + i}`) }),
    );
    const ok = (await talk.answer(hello)).header as { limits?: { subscriptions: number } };
    if ((ok.limits?.subscriptions ?? 0) < 1_000)
      wire.skip(`this server allows ${ok.limits?.subscriptions} subscriptions`);
    for (const id of asked) {
      const answer = await talk.answer(id);
      assert.ok(
        (answer.header['channels'] as Fields[]).every((item) => !('code' in item)),
        answer.headerText.slice(0, 300),
      );
    }
  }),
];
