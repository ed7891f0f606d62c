/** PROTOCOL.md §1 and §2 from outside: names, and cursors as they are given. */
import assert from 'node:assert/strict';
import { computeTag, decodePosition, parseCursor, type CursorParts } from '@tideway/protocol';
import { assertError, assertErrorFields, type Fields, type Heard } from './talk.ts';
import { check, type Check } from './wire.ts';

export function partsOf(cursor: unknown): CursorParts {
  assert.ok(typeof cursor === 'string' && cursor.length <= 64, `no cursor: ${String(cursor)}`);
  const parts = parseCursor(cursor);
  assert.ok(parts !== undefined, `"${cursor}" is not of the form epoch.position.tag (CUR-1)`);
  return parts;
}

/** The tag that CUR-4 computes over a record as it was sent. */
function tagOf({ header, payload }: Heard): string {
  const text = (name: string): string | undefined => header[name] as string | undefined;
  const time = header['time'] as number | undefined;
  return computeTag({
    time,
    rid: text('rid'),
    user: text('user'),
    key: text('key'),
    payload: payload ?? new Uint8Array(),
  });
}

export const nameChecks: readonly Check[] = [
  check('HTTP-1', 'a query is read as a form: a plus is a space, %2B is a plus', async (wire) => {
    const talk = await wire.session();
    const channel = `${wire.channel()}+a`;
    await talk.ok({ op: 'append', channel, rid: 'plus' }, '1');
    const raw = await wire.http('GET', `/v1/records?channel=${channel}`);
    assert.equal(raw.status, 404, raw.text);
    assertErrorFields((raw.json as { error: Fields }).error, 'channel_unknown');
    const encoded = await wire.http('GET', `/v1/records?channel=${channel.replace('+', '%2B').replace(':', '%3a')}`);
    assert.equal(encoded.status, 200, encoded.text);
    assert.equal((encoded.json as { records: readonly Fields[] }).records.length, 1);
    for (const wrong of ['%zz', '%', '%ff', '%C3']) {
      const answer = await wire.http('GET', `/v1/records?channel=${channel.replace('+', '')}${wrong}`);
      assert.equal(answer.status, 404, `${wrong}: ${answer.text}`);
    }
  }),

  check('NAM-1', 'a wrong channel name is channel_unknown, for subscribe, append and HTTP alike', async (wire) => {
    const talk = await wire.session();
    const namespace = wire.namespace;
    const wrong = [
      ...[
        'nocolon',
        ':rest',
        `${namespace}:`,
        'Upper:a',
        '1a:b',
        `${namespace}:a b`,
        `${namespace}:ä`,
        `${namespace}:a%20`,
        `${namespace}:a:b`,
      ],
      ...[
        `${namespace}:.`,
        `${namespace}:..`,
        `${namespace}:a/../b`,
        `${namespace}:./a`,
        `${namespace}:${'x'.repeat(201)}`,
        `${'n'.repeat(34)}:a`,
      ],
    ];
    for (const channel of wrong) {
      await talk.refused('channel_unknown', { op: 'subscribe', channel });
      await talk.refused('channel_unknown', { op: 'append', channel, rid: 'r' }, '{}');
      const answer = await wire.http('GET', '/v1/records', { query: { channel } });
      assert.equal(answer.status, 404, `${channel}: ${answer.text}`);
      assertErrorFields((answer.json as { error: Fields }).error, 'channel_unknown');
    }
  }),

  check('NAM-1', 'every character that the rule allows, 200 of them, and empty segments make a name', async (wire) => {
    const talk = await wire.session();
    const own = wire.channel().slice(wire.namespace.length + 1);
    const rest = `${own}/A-Za-z0-9_.-~/@=+,//..x/x..`;
    for (const channel of [`${wire.namespace}:${rest}`, `${wire.namespace}:${rest.padEnd(200, 'x')}`]) {
      await talk.subscribe(channel);
      await talk.append(channel, '1');
      assert.equal((await talk.nextOf('record', channel)).payload?.toString(), '1');
    }
  }),

  check('NAM-1 FRM-7', 'a text of more than 1,024 characters where a channel belongs is bad_frame', async (wire) => {
    const talk = await wire.session();
    await talk.refused('bad_frame', { op: 'subscribe', channel: `${wire.namespace}:${'x'.repeat(1_100)}` });
    await talk.refused('bad_frame', { op: 'subscribe', channel: wire.channel(), from: 'x'.repeat(1_100) });
  }),

  check('NAM-2', 'nobody appends to a channel of the server', async (wire) => {
    const talk = await wire.session();
    const error = await talk.refused(
      ['forbidden', 'channel_unknown'],
      { op: 'append', channel: '$system:vitals', rid: 'r' },
      '{}',
    );
    assert.equal(error['retryMs'], undefined);
    talk.say({ op: 'signal', channel: '$system:vitals' }, '{}');
    const refused = await talk.next(({ op, header }) => op === 'error' && header['id'] === undefined, 'a refusal');
    assertError(refused, ['forbidden', 'channel_unknown']);
  }),

  check('NAM-4 APP-2', 'a rid has 1–64 printable ASCII characters', async (wire) => {
    const talk = await wire.session();
    const channel = wire.channel();
    for (const rid of ['', 'x'.repeat(65), 'ä', 'a\tb', 'a\u007f', 7, null])
      await talk.refused('bad_frame', { op: 'append', channel, rid }, '{}');
    await talk.ok({ op: 'append', channel, rid: 'x'.repeat(64) }, '{}');
    await talk.ok({ op: 'append', channel, rid: ' ~!"' }, '{}');
  }),

  check('NAM-4', 'a key has 1–128 bytes of UTF-8', async (wire) => {
    const talk = await wire.session();
    const channel = wire.channel();
    for (const key of ['', 'x'.repeat(129), 'ä'.repeat(65), 1, null]) {
      await talk.refused('bad_frame', { op: 'append', channel, rid: 'r', key }, '{}');
    }
    await talk.subscribe(channel);
    await talk.append(channel, '1', { key: 'ä'.repeat(64) });
    assert.equal((await talk.nextOf('record', channel)).header['key'], 'ä'.repeat(64));
  }),

  check('NAM-4', 'a text with a lone surrogate is bad_frame', async (wire) => {
    const talk = await wire.session();
    talk.say(String.raw`{"op":"append","id":71,"channel":"${wire.channel()}","rid":"r","key":"\ud800"}${'\n'}{}`);
    assertError(await talk.answer(71), 'bad_frame');
  }),

  check('NAM-4 HEL-1', 'an instance has 1–64 printable ASCII characters and is never absent', async (wire) => {
    const talk = await wire.connect();
    for (const instance of ['', 'x'.repeat(65), 'ä', 7]) await talk.refused('bad_frame', wire.hello({ instance }));
    talk.say({ op: 'hello', id: 90 });
    assertError(await talk.answer(90), 'bad_frame');
    await talk.ok(wire.hello({ instance: 'x'.repeat(64) }));
  }),

  check(
    'CUR-1 CUR-3',
    'every cursor that is given is well-formed, its position a single number or two',
    async (wire) => {
      const talk = await wire.session();
      const channel = wire.channel();
      const ok = await talk.subscribe(channel);
      const stored = await talk.append(channel);
      const record = await talk.nextOf('record', channel);
      for (const cursor of [
        ok['cursor'],
        ok['head'],
        stored['cursor'],
        record.header['cursor'],
        record.header['prev'],
      ]) {
        const numbers = decodePosition(partsOf(cursor).position);
        assert.ok(numbers !== undefined && numbers.length <= 2);
      }
    },
  ),

  check(
    'CUR-5 CUR-6 SUB-2',
    'a channel without records gives a place with the tag zzzz, and its first record follows epoch.0.----',
    async (wire) => {
      const talk = await wire.session();
      const channel = wire.channel();
      const ok = await talk.subscribe(channel, 'oldest');
      const { epoch, tag } = partsOf(ok['cursor']);
      assert.equal(tag, 'zzzz');
      assert.equal(ok['cursor'], `${epoch}.0.zzzz`);
      assert.equal(ok['head'], ok['cursor']);
      await talk.append(channel);
      const record = await talk.nextOf('record', channel);
      assert.equal(record.header['prev'], `${epoch}.0.----`);
    },
  ),

  check(
    'CUR-6',
    'cursors of a channel grow in byte order, and each prev is the cursor of the record before',
    async (wire) => {
      const talk = await wire.session();
      const channel = wire.channel();
      await talk.subscribe(channel);
      for (let i = 0; i < 200; i++) talk.request({ op: 'append', channel, rid: `r${i}` }, String(i));
      const records = await talk.records(channel, 200);
      for (let i = 1; i < records.length; i++) {
        const [before, record] = [records[i - 1] as Heard, records[i] as Heard];
        assert.equal(record.header['prev'], before.header['cursor']);
        assert.ok((record.header['cursor'] as string) > (before.header['cursor'] as string));
      }
    },
  ),

  check(
    'CUR-4',
    'the tag of a record is what its bytes give: json and bytes, with key, without, and beyond 1,024 bytes',
    async (wire) => {
      const talk = await wire.session();
      const channel = wire.channel();
      await talk.subscribe(channel);
      await talk.append(channel, '{"text":"hi"}');
      await talk.append(channel, '"ä"', { key: 'ä', rid: 'own rid' });
      await talk.append(channel, new Uint8Array([0, 255, 10, 13]));
      await talk.append(channel, new Uint8Array());
      await talk.append(channel, JSON.stringify('x'.repeat(5_000)));
      for (const record of await talk.records(channel, 5)) {
        assert.equal(partsOf(record.header['cursor']).tag, tagOf(record), record.headerText);
      }
    },
  ),

  check('CUR-1 SUB-2', 'what is no cursor is bad_cursor', async (wire) => {
    const talk = await wire.session();
    const channel = wire.channel();
    const good = (await talk.append(channel))['cursor'] as string;
    const { epoch, position } = partsOf(good);
    const wrong = [
      ...[
        '',
        'x',
        'newest',
        'last',
        'last:',
        'last:-1',
        'last:1001',
        'last:01',
        'last:00',
        'last:1.5',
        'last:0x1',
        'last:1e2',
        'LAST:1',
        ' now',
        'oldest ',
      ],
      ...[
        `${good}x`,
        good.slice(0, -1),
        good.slice(1),
        `${epoch}..aaaa`,
        `${epoch}.11`,
        `${epoch}.2-1.aaaa`,
        `${epoch}.C11.aaaa`,
      ],
      ...[
        `${epoch}.${position}.aaa!`,
        `${epoch}.${position}${position}${position}.aaaa`,
        `${epoch}.Bzzzzzzzzzzz.aaaa`,
        `${good}.`,
      ],
    ];
    for (const from of wrong) await talk.refused('bad_cursor', { op: 'subscribe', channel, from });
    for (const after of wrong.filter((text) => text !== '')) {
      const answer = await wire.http('GET', '/v1/records', { query: { channel, after } });
      assert.equal(answer.status, 400, `after=${after}: ${answer.text}`);
      assertErrorFields((answer.json as { error: Fields }).error, ['bad_cursor', 'bad_frame']);
    }
  }),
];
