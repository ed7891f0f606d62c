/** PROTOCOL.md SSE-5 to SSE-7 and HTTP-9 from outside: how streams are refused, resumed and ended; an unmodified EventSource. */
import assert from 'node:assert/strict';
import { EventSource } from 'eventsource';
import { within } from '../raw/deadline.ts';
import type { StreamBlock } from '../raw/event-stream.ts';
import { FaultProxy } from '../raw/fault-proxy.ts';
import { dataOf, next, opened, post, records } from './event-blocks.ts';
import { appendMany } from './records.ts';
import { assertErrorFields, type Fields } from './talk.ts';
import { check, type Check } from './wire.ts';

export const sseLifeChecks: readonly Check[] = [
  check('SSE-5', 'Last-Event-ID wins over from; an empty one counts as none', async (wire) => {
    const talk = await wire.session();
    const channel = wire.channel();
    const cursors = await appendMany(talk, channel, 4);
    const resumed = await wire.events({
      query: { channel, from: 'oldest' },
      headers: { 'Last-Event-ID': cursors[2] as string },
    });
    const { ready } = await opened(wire, resumed);
    assert.equal((ready['channels'] as Fields[])[0]?.['resumed'], true);
    assert.equal(dataOf((await records(wire, resumed, 1))[0] as StreamBlock)['data'], 4);
    const fresh = await wire.events({ query: { channel, from: 'last:1' }, headers: { 'Last-Event-ID': '' } });
    await opened(wire, fresh);
    assert.equal(dataOf((await records(wire, fresh, 1))[0] as StreamBlock)['data'], 4);
  }),

  check(
    'SSE-5',
    'Last-Event-ID of several channels resumes each; an empty item starts at from; another number is bad_cursor',
    async (wire) => {
      const talk = await wire.session();
      const [a, b] = [wire.channel(), wire.channel()];
      const inA = await appendMany(talk, a, 2);
      await appendMany(talk, b, 2);
      const query = { channel: [a, b], from: 'oldest' };
      const stream = await wire.events({ query, headers: { 'Last-Event-ID': `${inA[0]},` } });
      const { ready } = await opened(wire, stream);
      assert.deepEqual(
        (ready['channels'] as Fields[]).map((item) => item['resumed']),
        [true, undefined],
      );
      const got = (await records(wire, stream, 3)).map(dataOf);
      assert.deepEqual(
        got.filter((line) => line['channel'] === a).map((line) => line['data']),
        [2],
      );
      assert.deepEqual(
        got.filter((line) => line['channel'] === b).map((line) => line['data']),
        [1, 2],
      );
      for (const id of [inA[0] as string, `${inA[0]},,`]) {
        const answer = await wire.http('GET', '/v1/events', { query, headers: { 'Last-Event-ID': id } });
        assert.equal(answer.status, 400, `${id}: ${answer.text}`);
        assertErrorFields((answer.json as { error: Fields }).error, 'bad_cursor');
      }
      // A place that is none is the refusal of its channel only.
      const half = await wire.events({ query, headers: { 'Last-Event-ID': `${inA[0]},rubbish` } });
      const items = (await opened(wire, half)).ready['channels'] as Fields[];
      assert.deepEqual([items[0]?.['resumed'], items[1]?.['code']], [true, 'bad_cursor']);
    },
  ),

  check('SSE-6 SSE-1', 'final errors before the stream are an HTTP status and the JSON of errors', async (wire) => {
    const channel = wire.channel();
    const asks = [
      { ask: { query: { channel: 'Nope' } }, status: 404, code: 'channel_unknown' },
      { ask: { query: { channel: ['Nope', 'Nope2'] } }, status: 404, code: 'channel_unknown' },
      { ask: { query: {} }, status: 400, code: 'bad_frame' },
      {
        ask: { query: { channel: Array.from({ length: 17 }, (_, i) => `${channel}-${i}`) } },
        status: 400,
        code: 'bad_frame',
      },
      { ask: { query: { channel: [channel, channel] } }, status: 400, code: 'bad_frame' },
      { ask: { query: { channel, from: 'rubbish' } }, status: 400, code: 'bad_cursor' },
      { ask: { query: { channel, from: 'latest' } }, status: 501, code: 'unsupported' },
      { ask: post({ channels: [] }), status: 400, code: 'bad_frame' },
      { ask: post({ channel: 7 }), status: 400, code: 'bad_frame' },
      { ask: { body: 'no json' }, status: 400, code: 'bad_frame' },
      { ask: post({ channels: ['Nope'] }), status: 404, code: 'channel_unknown' },
    ] as const;
    for (const { ask, status, code } of asks) {
      const answer = await wire.http('body' in ask ? 'POST' : 'GET', '/v1/events', ask);
      assert.equal(answer.status, status, `${JSON.stringify(ask).slice(0, 200)}: ${answer.text}`);
      assertErrorFields((answer.json as { error: Fields }).error, code);
    }
  }),

  check('SSE-6', 'on POST a refused channel stands in ready beside the others', async (wire) => {
    const channel = wire.channel();
    const stream = await wire.events(post({ channels: ['Nope', { channel, from: 'oldest' }] }));
    const { ready } = await opened(wire, stream);
    const items = ready['channels'] as Fields[];
    assert.equal(items[0]?.['code'], 'channel_unknown');
    assert.equal(items[1]?.['channel'], channel);
    await wire.post(channel, '1');
    await records(wire, stream, 1);
  }),

  check('SSE-7 REC-4', 'a stream ends when its channel is closed, and a reconnect is answered 204', async (wire) => {
    const channel = wire.channel();
    const stream = await wire.events({ query: { channel, from: 'oldest' } });
    await opened(wire, stream);
    await wire.post(channel, '1');
    assert.equal((await wire.http('POST', '/v1/close', { query: { channel } })).status, 200);
    const [record] = await records(wire, stream, 1);
    assert.equal(dataOf(await next(wire, stream, 'closed'))['channel'], channel);
    await within(stream.ended, wire.deadlineMs, 'the end of the stream');
    const answer = await wire.http('GET', '/v1/events', {
      query: { channel },
      headers: { 'Last-Event-ID': record?.id as string },
    });
    assert.equal(answer.status, 204);
  }),

  check('SSE-7 SSE-6', 'a channel that is closed or refused does not end the stream of the others', async (wire) => {
    const [closed, open] = [wire.channel(), wire.channel()];
    const place = await wire.post(closed, '1');
    assert.equal((await wire.http('POST', '/v1/close', { query: { channel: closed } })).status, 200);
    for (const channel of [
      [closed, open],
      [open, closed],
    ]) {
      for (const ask of [{ query: { channel } }, post({ channels: channel })]) {
        const stream = await wire.events(ask);
        await opened(wire, stream);
        assert.equal(dataOf(await next(wire, stream, 'closed'))['channel'], closed);
        await wire.post(open, '"still here"');
        assert.equal(dataOf((await records(wire, stream, 1))[0] as StreamBlock)['data'], 'still here');
      }
    }
    // Of these nothing will ever come: an EventSource must not ask for ever.
    const answer = await wire.http('GET', '/v1/events', {
      query: { channel: [closed, 'Nope'] },
      headers: { 'Last-Event-ID': `${place},` },
    });
    assert.equal(answer.status, 204, answer.text);
  }),

  check('SSE-4 SSE-7', 'a channel that was closed stands in the id with its last record', async (wire) => {
    // Its last records and its end come in one write or in two, as it happens.
    for (let round = 0; round < 10; round++) {
      const talk = await wire.session();
      const [closing, open] = [wire.channel(), wire.channel()];
      const stream = await wire.events({ query: { channel: [closing, open] } });
      await opened(wire, stream);
      const append = (rid: number): number => talk.request({ op: 'append', channel: closing, rid: String(rid) }, '1');
      const ids = Array.from({ length: 40 }, (_, i) => append(i));
      const closed = wire.http('POST', '/v1/close', { query: { channel: closing } });
      ids.push(...Array.from({ length: 40 }, (_, i) => append(40 + i)));
      await talk.answers(ids);
      assert.equal((await closed).status, 200);
      await next(wire, stream, 'closed');
      await wire.post(open);
      const isOpen = (block: StreamBlock): boolean => block.data?.includes(`"channel":"${open}"`) === true;
      await stream.blocks.next(isOpen, wire.deadlineMs, 'the record of the other');
      const { id } = await stream.blocks.next((block) => block.id !== undefined, wire.deadlineMs, 'the places');
      const last = stream.blocks.all.findLast(
        ({ event, data }) => event === undefined && data?.includes(`"channel":"${closing}"`),
      );
      // Closed before the first append: its place is the one that `ready` gave.
      if (last !== undefined) assert.equal(id?.split(',')[0], dataOf(last)['cursor']);
      stream.stop();
    }
  }),

  check('SUB-8 SSE-2', 'a thousand records come over GET and POST streams once and in order', async (wire) => {
    const talk = await wire.session();
    const channel = wire.channel();
    const streams = [
      await wire.events({ query: { channel, from: 'oldest' } }),
      await wire.events(post({ channel, from: 'oldest' })),
    ];
    await appendMany(talk, channel, 1_000);
    for (const stream of streams) {
      const lines = (await records(wire, stream, 1_000)).map(dataOf);
      assert.deepEqual(
        lines.map((line) => line['data']),
        lines.map((_, i) => i + 1),
      );
      for (let i = 1; i < lines.length; i++) assert.equal(lines[i]?.['prev'], lines[i - 1]?.['cursor']);
    }
  }),

  check(
    'SSE-4 SSE-5',
    'an unmodified EventSource that is cut three times misses nothing: one channel, and three',
    async (wire) => {
      if (wire.token !== undefined) wire.skip('an EventSource cannot send this token; tickets are checked elsewhere');
      const { hostname, port } = new URL(wire.url);
      const proxy = await FaultProxy.listen({ host: hostname.replaceAll(/[[\]]/g, ''), port: Number(port) });
      wire.atEnd(() => void proxy.close());
      for (const count of [1, 3]) {
        const channels = Array.from({ length: count }, () => wire.channel());
        const url = new URL('/v1/events', proxy.url);
        for (const channel of channels) url.searchParams.append('channel', channel);
        const source = new EventSource(url);
        wire.atEnd(() => source.close());
        const seen: Fields[] = [];
        let opens = 0;
        let look = (): void => {};
        source.addEventListener('ready', () => {
          opens++;
          look();
        });
        source.addEventListener('message', (event) => {
          seen.push(JSON.parse(event.data as string) as Fields);
          look();
        });
        const until = (holds: () => boolean, what: string): Promise<void> =>
          within(
            new Promise<void>((resolve) => {
              look = () => {
                if (holds()) resolve();
              };
              look();
            }),
            30_000,
            what,
          );
        await until(() => opens === 1, 'the first ready');
        for (let round = 0; round < 4; round++) {
          for (const channel of channels) await wire.post(channel, JSON.stringify(`${round} live`));
          await until(() => seen.length === count * (2 * round + 1), `the records of round ${round}`);
          proxy.cut();
          // Appended while the EventSource is away.
          for (const channel of channels) await wire.post(channel, JSON.stringify(`${round} away`));
          await until(() => seen.length === count * (2 * round + 2), `what was missed in round ${round}`);
        }
        const expected = [0, 1, 2, 3].flatMap((round) => [`${round} live`, `${round} away`]);
        for (const channel of channels) {
          assert.deepEqual(
            seen.filter((line) => line['channel'] === channel).map((line) => line['data']),
            expected,
          );
        }
        assert.ok(opens >= 4);
        source.close();
      }
    },
  ),

  check('HTTP-9', 'a ticket opens a stream of its channels, any number of times, and no other', async (wire) => {
    const [channel, other] = [wire.channel(), wire.channel()];
    const answer = await wire.http('POST', '/v1/tickets', post({ channels: [channel] }));
    assert.equal(answer.status, 200, answer.text);
    const { ticket, expiresInMs } = answer.json as { ticket: string; expiresInMs: number };
    assert.ok(ticket !== '' && expiresInMs > 0 && expiresInMs <= 3_600_000);
    for (let i = 0; i < 3; i++) {
      const response = await fetch(wire.target('/v1/events', { channel, ticket }));
      assert.equal(response.status, 200);
      await response.body?.cancel();
    }
    for (const query of [
      { channel: other, ticket },
      { channel, ticket: `${ticket}x` },
    ]) {
      const response = await fetch(wire.target('/v1/events', query));
      const text = await response.text();
      assert.ok(response.status === 401 || response.status === 403, `${response.status} ${text}`);
    }
    for (const body of [
      { channels: [] },
      { channels: Array.from({ length: 17 }, (_, i) => `${channel}-${i}`) },
      {},
      7,
    ]) {
      assert.equal((await wire.http('POST', '/v1/tickets', post(body))).status, 400, JSON.stringify(body));
    }
  }),
];
