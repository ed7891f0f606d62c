/** PROTOCOL.md §9 from outside: raw streams by GET and POST, what their events look like, their ids. */
import assert from 'node:assert/strict';
import type { StreamBlock } from '../raw/event-stream.ts';
import { dataOf, next, opened, post, records } from './event-blocks.ts';
import { appendMany } from './records.ts';
import type { Fields } from './talk.ts';
import { check, type Check } from './wire.ts';

export const sseChecks: readonly Check[] = [
  check('SSE-1 SSE-3 SSE-8', 'a stream has its headers, and begins with ready', async (wire) => {
    const channel = wire.channel();
    for (const ask of [{ query: { channel } }, post({ channel }), post({ channels: [channel] })]) {
      const stream = await wire.events(ask);
      assert.match(stream.response.headers.get('content-type') ?? '', /^text\/event-stream/);
      assert.equal(stream.response.headers.get('cache-control'), 'no-cache, no-transform');
      assert.equal(stream.response.headers.get('x-accel-buffering'), 'no');
      const { ready } = await opened(wire, stream);
      const [item] = ready['channels'] as Fields[];
      assert.equal(item?.['channel'], channel);
      assert.equal(item?.['cursor'], item?.['head']);
      assert.ok(typeof ready['server'] === 'string' && typeof ready['limits'] === 'object');
      assert.ok(!('op' in ready) && !('id' in ready));
    }
  }),

  check(
    'SSE-2',
    'a record is an event without name: the members of REC-1 without op, data last, as it is',
    async (wire) => {
      const talk = await wire.session();
      const channel = wire.channel();
      const stream = await wire.events({ query: { channel, from: 'oldest' } });
      await opened(wire, stream);
      await talk.subscribe(channel);
      await talk.append(channel, '{"a":1.50,  "b":"ä"}', { key: 'k', rid: 'own' });
      await talk.append(channel, new Uint8Array([0, 255, 10, 62, 63]));
      await talk.append(channel, new Uint8Array());
      const frames = await talk.records(channel, 3);
      const blocks = await records(wire, stream, 3);
      for (const [i, block] of blocks.entries()) {
        const frame = frames[i];
        const members = (frame?.headerText ?? '').replace('{"op":"record",', '').slice(0, -1);
        const data =
          i === 0
            ? '"data":{"a":1.50,  "b":"ä"}'
            : i === 1
              ? '"encoding":"base64","data":"AP8KPj8="'
              : '"encoding":"base64","data":""';
        assert.equal(block.data, `{${members},${data}}`);
      }
    },
  ),

  check('SSE-4', 'with one channel ready and records carry the place as id', async (wire) => {
    const talk = await wire.session();
    const channel = wire.channel();
    const [first] = await appendMany(talk, channel, 3);
    const stream = await wire.events({ query: { channel, from: first as string } });
    const { ready, block } = await opened(wire, stream);
    assert.equal(block.id, (ready['channels'] as Fields[])[0]?.['cursor']);
    assert.equal((ready['channels'] as Fields[])[0]?.['resumed'], true);
    for (const record of await records(wire, stream, 2)) assert.equal(record.id, dataOf(record)['cursor']);
  }),

  check(
    'SSE-4',
    'with several channels events carry no id; each write ends with a block of all places',
    async (wire) => {
      const talk = await wire.session();
      const [a, b] = [wire.channel(), wire.channel()];
      const stream = await wire.events({ query: { channel: [a, b, 'Nope'] } });
      const { ready, block } = await opened(wire, stream);
      assert.equal(block.id, undefined);
      const items = ready['channels'] as Fields[];
      assert.equal(items[2]?.['code'], 'channel_unknown');
      const isIdOnly = (one: StreamBlock): boolean =>
        one.id !== undefined && one.data === undefined && one.event === undefined;
      const first = await stream.blocks.next(isIdOnly, wire.deadlineMs, 'the places');
      assert.equal(first.id, `${String(items[0]?.['cursor'])},${String(items[1]?.['cursor'])},`);
      const inA = (await talk.append(a, '1'))['cursor'];
      assert.equal(
        (await stream.blocks.next(isIdOnly, wire.deadlineMs, 'the places')).id,
        `${String(inA)},${String(items[1]?.['cursor'])},`,
      );
      const inB = (await talk.append(b, '2'))['cursor'];
      assert.equal(
        (await stream.blocks.next(isIdOnly, wire.deadlineMs, 'the places')).id,
        `${String(inA)},${String(inB)},`,
      );
      assert.ok(stream.blocks.all.every((one) => one.id === undefined || isIdOnly(one)));
    },
  ),

  check('SSE-4', 'a POST stream carries no id at all', async (wire) => {
    const channel = wire.channel();
    const stream = await wire.events(post({ channel, from: 'oldest' }));
    await opened(wire, stream);
    await wire.post(channel, '1');
    await records(wire, stream, 1);
    assert.ok(stream.blocks.all.every((block) => block.id === undefined));
  }),

  check('SSE-1', 'a POST stream takes 1,000 channels', async (wire) => {
    const base = wire.channel();
    const channels = Array.from({ length: 1_000 }, (_, i) => `${base}-${i}`);
    const stream = await wire.events(post({ channels }));
    const { ready } = await opened(wire, stream);
    assert.ok((ready['channels'] as Fields[]).every((item) => !('code' in item)));
    await wire.post(channels[999] as string, '"last"');
    assert.equal(dataOf((await records(wire, stream, 1))[0] as StreamBlock)['data'], 'last');
  }),

  check(
    'SSE-1 LIM-1',
    'a POST stream takes 1,000 channels of the longest names with a place for each',
    async (wire) => {
      const base = wire.channel();
      const place = await wire.post(base);
      const channels = Array.from({ length: 1_000 }, (_, i) => {
        const channel = `${base}-${i}-`.padEnd(base.indexOf(':') + 201, 'x');
        return { channel, from: place, deliver: { mode: 'all' } };
      });
      const ask = post({ channels });
      assert.ok(ask.body.length > 256 * 1024 && ask.body.length <= 512 * 1024, `${ask.body.length} bytes`);
      const { ready } = await opened(wire, await wire.events(ask));
      assert.equal((ready['channels'] as Fields[]).length, 1_000);
    },
  ),

  check('SSE-3 SUB-6', 'a trimmed place is said in ready, and a gap is an event in the stream', async (wire) => {
    const talk = await wire.session();
    const channel = wire.channel();
    const cursors = await appendMany(talk, channel, 3);
    assert.equal((await wire.http('DELETE', '/v1/records', { query: { channel } })).status, 200);
    const stream = await wire.events({ query: { channel, from: cursors[0] as string } });
    const { ready, block } = await opened(wire, stream);
    const [item] = ready['channels'] as Fields[];
    assert.deepEqual([item?.['resumed'], item?.['reason']], [false, 'trimmed']);
    assert.equal(block.id, item?.['cursor']);
  }),

  check('SSE-3 SSE-2', 'signals are named events, with data last', async (wire) => {
    const channel = wire.channel();
    const stream = await wire.events({ query: { channel } });
    await opened(wire, stream);
    await wire.http('POST', '/v1/signals', { query: { channel }, body: '{"typing": true}' });
    const signal = await next(wire, stream, 'signal');
    assert.equal(signal.id, undefined);
    assert.match(signal.data ?? '', /,"data":\{"typing": true\}\}$/);
    assert.equal(dataOf(signal)['channel'], channel);
  }),

  check('SSE-3', 'a quiet stream gets a comment within 15 s', async (wire) => {
    const stream = await wire.events({ query: { channel: wire.channel() } });
    await opened(wire, stream);
    await stream.blocks.next((block) => block.comments.length > 0, 60_000, 'a comment');
  }),
];
