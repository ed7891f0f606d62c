/** PROTOCOL.md SUB-6 from outside: every step of resuming from a cursor, over WebSocket and HTTP alike. */
import assert from 'node:assert/strict';
import { encodePositionNumber, decodePosition, formatCursor } from '@tideway/protocol';
import { partsOf } from './name-checks.ts';
import { appendMany, cursorOf, textOf } from './records.ts';
import type { Fields } from './talk.ts';
import { check, checkAlone, type Check, type Wire } from './wire.ts';

/** Another tag than this one. */
function otherTag(tag: string): string {
  return tag === 'aaaa' ? 'bbbb' : 'aaaa';
}

/** The same log, far beyond its end. */
function beyond(cursor: string, tag: string): string {
  const { epoch, position } = partsOf(cursor);
  const numbers = decodePosition(position) as readonly bigint[];
  const [first = 0n, ...rest] = numbers;
  return formatCursor(epoch, [first + 1_000_000_000n, ...rest].map(encodePositionNumber).join(''), tag);
}

async function trim(wire: Wire, channel: string): Promise<string> {
  const answer = await wire.http('DELETE', '/v1/records', { query: { channel } });
  assert.equal(answer.status, 200, answer.text);
  return (answer.json as { cursor: string }).cursor;
}

async function page(
  wire: Wire,
  channel: string,
  after: string,
): Promise<{ gap?: Fields; records: Fields[]; next: string; end: boolean }> {
  const answer = await wire.http('GET', '/v1/records', { query: { channel, after } });
  assert.equal(answer.status, 200, answer.text);
  return answer.json as { gap?: Fields; records: Fields[]; next: string; end: boolean };
}

export const resumeChecks: readonly Check[] = [
  check('SUB-6 SUB-3', 'a cursor is resumed byte for byte, and what follows it comes', async (wire) => {
    const writer = await wire.session();
    const channel = wire.channel();
    const cursors = await appendMany(writer, channel, 4);
    for (const [index, from] of cursors.entries()) {
      const talk = await wire.session();
      const ok = await talk.subscribe(channel, from);
      assert.equal(ok['resumed'], true);
      assert.equal(ok['cursor'], from);
      assert.equal(ok['head'], cursors[3]);
      assert.ok(!('reason' in ok));
      const rest = cursors.slice(index + 1);
      assert.deepEqual((await talk.records(channel, rest.length)).map(cursorOf), rest);
      await talk.fence();
      assert.ok(!talk.heard.all.some((frame) => frame.op === 'gap'));
    }
  }),

  check(
    'SUB-6 CUR-5',
    'a place whose tag is ---- or zzzz matches every tag, and is zzzz from then on',
    async (wire) => {
      const writer = await wire.session();
      const channel = wire.channel();
      const cursors = await appendMany(writer, channel, 2);
      const { epoch, position } = partsOf(cursors[0]);
      const first = formatCursor(epoch, position, 'zzzz');
      for (const from of [formatCursor(epoch, position, '----'), first]) {
        const talk = await wire.session();
        // The second time the channel is followed already, and served from elsewhere.
        for (const _ of [1, 2]) {
          const ok = await talk.subscribe(channel, from);
          assert.equal(ok['resumed'], true, `${from}: ${JSON.stringify(ok)}`);
          assert.equal(ok['cursor'], first);
          assert.deepEqual((await talk.records(channel, 1)).map(cursorOf), [cursors[1]]);
          await talk.subscribe(channel);
        }
      }
      const empty = wire.channel();
      const place = (await writer.subscribe(empty))['cursor'] as string;
      const ok = await (await wire.session()).subscribe(empty, place);
      assert.equal(ok['resumed'], true);
      assert.equal(ok['cursor'], place);
    },
  ),

  check('SUB-2 SUB-6', 'a place that a client made up, epoch.0.zzzz, is resumed: everything comes', async (wire) => {
    const writer = await wire.session();
    const channel = wire.channel();
    const cursors = await appendMany(writer, channel, 3);
    const talk = await wire.session();
    const from = `${partsOf(cursors[0]).epoch}.0.zzzz`;
    const ok = await talk.subscribe(channel, from);
    assert.deepEqual([ok['resumed'], ok['cursor']], [true, from]);
    assert.deepEqual((await talk.records(channel, 3)).map(cursorOf), cursors);
  }),

  check(
    'SUB-6',
    'step 2: another epoch is not resumed; delivery starts at the floor, and no gap frame follows',
    async (wire) => {
      const writer = await wire.session();
      const channel = wire.channel();
      const cursors = await appendMany(writer, channel, 2);
      const { epoch, position, tag } = partsOf(cursors[0]);
      const other = epoch === 'AAAAAA' ? 'BBBBBB' : 'AAAAAA';
      const talk = await wire.session();
      const ok = await talk.subscribe(channel, formatCursor(other, position, tag));
      assert.deepEqual([ok['resumed'], ok['reason']], [false, 'epoch']);
      assert.deepEqual((await talk.records(channel, 2)).map(textOf), ['1', '2']);
      await talk.fence();
      assert.ok(!talk.heard.all.some((frame) => frame.op === 'gap'));
      const http = await page(wire, channel, formatCursor(other, position, tag));
      assert.equal(http.gap?.['reason'], 'epoch');
      assert.equal(http.gap?.['cursor'], ok['cursor']);
      assert.equal(http.records.length, 2);
    },
  ),

  check(
    'SUB-6',
    'step 3: a place the log does not have, of the channel as it is: resumed at the newest place',
    async (wire) => {
      const writer = await wire.session();
      const channel = wire.channel();
      const cursors = await appendMany(writer, channel, 2);
      const head = cursors[1] as string;
      const talk = await wire.session();
      const from = beyond(head, partsOf(head).tag);
      const ok = await talk.subscribe(channel, from);
      assert.equal(ok['resumed'], true, JSON.stringify(ok));
      assert.ok((ok['cursor'] as string) < from && (ok['cursor'] as string) >= head, JSON.stringify(ok));
      await writer.append(channel, '"next"');
      assert.equal(textOf(await talk.nextOf('record', channel)), '"next"');
    },
  ),

  check('SUB-6', 'step 3: a place the log does not have, of another history: not resumed, diverged', async (wire) => {
    const writer = await wire.session();
    const channel = wire.channel();
    const cursors = await appendMany(writer, channel, 2);
    const head = cursors[1] as string;
    const talk = await wire.session();
    const ok = await talk.subscribe(channel, beyond(head, otherTag(partsOf(head).tag)));
    assert.deepEqual([ok['resumed'], ok['reason']], [false, 'diverged'], JSON.stringify(ok));
    assert.deepEqual((await talk.records(channel, 2)).map(textOf), ['1', '2']);
  }),

  check(
    'SUB-6 GAP-1',
    'step 4: a place whose successors were trimmed is not resumed, trimmed, and goes on at the floor',
    async (wire) => {
      const writer = await wire.session();
      const channel = wire.channel();
      const cursors = await appendMany(writer, channel, 4);
      const floor = await trim(wire, channel);
      assert.ok(floor >= (cursors[3] as string));
      await writer.append(channel, '"fresh"');
      const talk = await wire.session();
      const ok = await talk.subscribe(channel, cursors[1]);
      assert.deepEqual([ok['resumed'], ok['reason']], [false, 'trimmed']);
      assert.equal(ok['cursor'], floor);
      const [record] = await talk.records(channel, 1);
      assert.equal(
        record?.header['prev'],
        cursors[3],
        'prev names the record before, also where it was trimmed (CUR-6)',
      );
      await talk.fence();
      assert.ok(!talk.heard.all.some((frame) => frame.op === 'gap'));
      const http = await page(wire, channel, cursors[1] as string);
      assert.deepEqual([http.gap?.['reason'], http.gap?.['cursor']], ['trimmed', floor]);
      assert.equal(http.records.length, 1);
    },
  ),

  check(
    'SUB-6 GAP-2',
    'step 4: an idle channel whose records were all trimmed is resumed from its newest record',
    async (wire) => {
      const writer = await wire.session();
      const channel = wire.channel();
      const cursors = await appendMany(writer, channel, 3);
      await trim(wire, channel);
      const talk = await wire.session();
      const ok = await talk.subscribe(channel, cursors[2]);
      assert.deepEqual([ok['resumed'], ok['cursor']], [true, cursors[2]], JSON.stringify(ok));
      await writer.append(channel, '"next"');
      assert.equal(textOf(await talk.nextOf('record', channel)), '"next"');
    },
  ),

  check('GAP-2', 'a place that holds everything up to the trim is resumed even after the next record', async (wire) => {
    const writer = await wire.session();
    const channel = wire.channel();
    const cursors = await appendMany(writer, channel, 3);
    await trim(wire, channel);
    await writer.append(channel, '"next"');
    const talk = await wire.session();
    const ok = await talk.subscribe(channel, cursors[2]);
    assert.deepEqual([ok['resumed'], ok['cursor']], [true, cursors[2]], `nothing was missed: ${JSON.stringify(ok)}`);
    assert.equal(textOf(await talk.nextOf('record', channel)), '"next"');
  }),

  check('SUB-6', 'step 5: another tag at a place the log has is not resumed, diverged', async (wire) => {
    const writer = await wire.session();
    const channel = wire.channel();
    const cursors = await appendMany(writer, channel, 3);
    const { epoch, position, tag } = partsOf(cursors[1]);
    const talk = await wire.session();
    const from = formatCursor(epoch, position, otherTag(tag));
    const ok = await talk.subscribe(channel, from);
    assert.deepEqual([ok['resumed'], ok['reason']], [false, 'diverged'], JSON.stringify(ok));
    assert.deepEqual((await talk.records(channel, 3)).map(textOf), ['1', '2', '3']);
    const http = await page(wire, channel, from);
    assert.equal(http.gap?.['reason'], 'diverged');
    assert.equal(http.records.length, 3);
  }),

  check('SUB-6 SUB-8', 'a reader cut again and again resumes where it was and misses nothing', async (wire) => {
    const writer = await wire.session();
    const channel = wire.channel();
    let place = (await writer.subscribe(channel))['cursor'] as string;
    await writer.ok({ op: 'unsubscribe', channel });
    const seen: string[] = [];
    for (let round = 0; round < 10; round++) {
      const talk = await wire.session();
      const from = place;
      const ok = await talk.subscribe(channel, from);
      assert.deepEqual([ok['resumed'], ok['cursor']], [true, from]);
      for (let i = 0; i < 20; i++) await writer.append(channel, String(round * 20 + i), { rid: `${round}-${i}` });
      // Some of them only: the connection is cut in the middle, wherever the bytes are.
      for (const record of await talk.records(channel, 1 + ((round * 7) % 20))) {
        assert.ok((record.header['prev'] as string) <= place && place < cursorOf(record));
        place = cursorOf(record);
        seen.push(textOf(record) as string);
      }
      talk.raw.cut();
    }
    const last = await wire.session();
    await last.subscribe(channel, place);
    while (seen.length < 200) seen.push(textOf(await last.nextOf('record', channel)) as string);
    assert.deepEqual(
      seen.map(Number),
      Array.from({ length: 200 }, (_, i) => i),
    );
  }),

  checkAlone(
    'SUB-6 APP-2',
    'after a restart of the server places are resumed, repeats are recognized, records are there',
    async (wire) => {
      const { restart } = wire;
      if (restart === undefined) return wire.skip('this server cannot be restarted from here');
      const channel = wire.channel();
      const before = await wire.session();
      const cursors = await appendMany(before, channel, 5);
      await restart();
      const talk = await wire.session();
      const ok = await talk.subscribe(channel, cursors[1]);
      assert.deepEqual([ok['resumed'], ok['cursor'], ok['head']], [true, cursors[1], cursors[4]]);
      assert.deepEqual((await talk.records(channel, 3)).map(cursorOf), cursors.slice(2));
      const again = await talk.ok({ op: 'append', channel, rid: 'r3' }, '"other"');
      assert.deepEqual([again['cursor'], again['duplicate']], [cursors[2], true]);
      const next = await talk.append(channel, '"new"');
      const record = await talk.nextOf('record', channel);
      assert.deepEqual([cursorOf(record), record.header['prev']], [next['cursor'], cursors[4]]);
    },
  ),
];
