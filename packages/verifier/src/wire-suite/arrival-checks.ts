/** PROTOCOL.md §6 and SUB-8 from outside: what comes, once, in order, or with a gap, however slowly it is read. */
import assert from 'node:assert/strict';
import { HistoryChecker } from '../checker.ts';
import { rest } from '../torture/stage.ts';
import { appendMany, cursorOf, startOf, tell, tellSubscribed, textOf } from './records.ts';
import { assertErrorFields, type Fields, type Heard, type Talk } from './talk.ts';
import { check, type Check } from './wire.ts';

export const arrivalChecks: readonly Check[] = [
  check(
    'SUB-8 CUR-7',
    'every record comes once, in order, across the hand-over from catching up to live, while others append',
    async (wire) => {
      const writer = await wire.session();
      const channel = wire.channel();
      const checker = new HistoryChecker({ mayDiverge: false });
      const total = 3_000;
      await appendMany(writer, channel, 500);
      let last = 500;
      const writing = (async () => {
        while (last < total) {
          const ids = Array.from({ length: 25 }, () =>
            writer.request({ op: 'append', channel, rid: `r${++last}` }, String(last)),
          );
          for (const id of ids) {
            const answer = await writer.answer(id);
            assert.equal(answer.op, 'ok', answer.headerText);
          }
        }
      })();
      writing.catch(() => {});
      const readers = await Promise.all(
        ['oldest', 'oldest', 'last:100', 'now'].map(async (from, i) => {
          const { ok, talk } = await startOf(wire, channel, from);
          tellSubscribed(checker, `${from}-${i}`, ok);
          let text = '';
          while (text !== String(total)) {
            const frame = await talk.nextOf('record', channel);
            text = textOf(frame) as string;
          }
          for (const frame of talk.heard.all) tell(checker, `${from}-${i}`, frame);
          return talk.heard.all.filter((frame) => frame.op === 'record').map(textOf);
        }),
      );
      await writing;
      assert.deepEqual(checker.finish().violations, []);
      const numbers = (readers[0] as string[]).map(Number);
      assert.deepEqual(
        numbers,
        Array.from({ length: total }, (_, i) => i + 1),
      );
    },
  ),

  check('SUB-8', 'a reader that stops reading gets everything later, in order, or a gap', async (wire) => {
    const writer = await wire.session();
    const channel = wire.channel();
    const { ok, talk } = await startOf(wire, channel, 'now');
    talk.raw.pause();
    await fill(writer, channel, 'x'.repeat(32_000));
    talk.raw.resume();
    const checker = new HistoryChecker({ mayDiverge: false });
    tellSubscribed(checker, 'slow', ok);
    const head = ((await wire.http('GET', '/v1/records', { query: { channel, limit: '1' } })).json as { next: string })
      .next;
    await talk.next((frame) => frame.op === 'record' && cursorOf(frame) === head, 'the newest record');
    for (const frame of talk.heard.all) tell(checker, 'slow', frame);
    assert.deepEqual(checker.finish().violations, []);
  }),

  check(
    'SUB-9 GAP-1',
    'what is trimmed under a slow reader is said by a gap, never skipped in silence',
    async (wire) => {
      const writer = await wire.session();
      const channel = wire.channel();
      const { ok, talk } = await startOf(wire, channel, 'now');
      talk.raw.pause();
      await fill(writer, channel, 'x'.repeat(64_000));
      const trimmed = await wire.http('DELETE', '/v1/records', { query: { channel } });
      assert.equal(trimmed.status, 200, trimmed.text);
      await writer.append(channel, '"after the trim"');
      talk.raw.resume();
      await talk.next(
        (frame) => frame.op === 'record' && textOf(frame) === '"after the trim"',
        'the record after the trim',
      );
      const checker = new HistoryChecker({ mayDiverge: false });
      tellSubscribed(checker, 'slow', ok);
      for (const frame of talk.heard.all) tell(checker, 'slow', frame);
      const verdict = checker.finish();
      assert.deepEqual(verdict.violations, []);
      assert.ok(verdict.gaps.trimmed === 1 || verdict.delivered === 201, `${verdict.delivered} records and no gap`);
    },
  ),

  check('REC-1', "a record's header has its members in the order of REC-1, absent ones left out", async (wire) => {
    const talk = await wire.session();
    const channel = wire.channel();
    await talk.subscribe(channel);
    const trace = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
    await talk.append(channel, '1', { rid: 'full', key: 'k', trace });
    await talk.append(channel, '2', { rid: 'bare' });
    const [full, bare] = (await talk.records(channel, 2)) as [Heard, Heard];
    const order = ['op', 'channel', 'cursor', 'prev', 'time', 'rid', 'user', 'key', 'trace'];
    for (const record of [full, bare]) {
      const members = Object.keys(record.header);
      assert.deepEqual(
        members,
        order.filter((name) => members.includes(name)),
      );
      assert.ok(Number.isInteger(record.header['time']));
      assert.ok(!record.headerText.includes('\n') && record.payload !== undefined);
    }
    assert.deepEqual([full.header['rid'], full.header['key'], full.header['trace']], ['full', 'k', trace]);
    assert.ok(!('key' in bare.header) && !('trace' in bare.header));
  }),

  check(
    'REC-4 SUB-5 HTTP-7',
    'closing a channel sends closed after its records, and appends behind it are channel_closed',
    async (wire) => {
      const talk = await wire.session();
      const channel = wire.channel();
      await talk.subscribe(channel);
      await appendMany(talk, channel, 3);
      const closed = await wire.http('POST', '/v1/close', { query: { channel } });
      assert.equal(closed.status, 200, closed.text);
      await talk.nextOf('closed', channel);
      const frames = talk.heard.all.filter((frame) => frame.header['channel'] === channel).map((frame) => frame.op);
      assert.deepEqual(frames.slice(-4), ['record', 'record', 'record', 'closed']);
      await talk.refused('channel_closed', { op: 'append', channel, rid: 'late' }, '{}');
      const again = await wire.http('POST', '/v1/close', { query: { channel } });
      assert.deepEqual(again.json, closed.json);
      const late = await wire.session();
      await late.subscribe(channel, 'oldest');
      await late.records(channel, 3);
      await late.nextOf('closed', channel);
      const post = await wire.http('POST', '/v1/records', { query: { channel }, body: '{}' });
      assert.equal(post.status, 410, post.text);
      assertErrorFields((post.json as { error: Fields }).error, 'channel_closed');
    },
  ),
];

/** Appends 200 records at once; what a node that is short of something refuses for now is sent again (COD-2). */
async function fill(writer: Talk, channel: string, filler: string): Promise<void> {
  const request = (n: number): number =>
    writer.request({ op: 'append', channel, rid: `s${n}` }, JSON.stringify(filler + n));
  const ids = Array.from({ length: 200 }, (_, n) => request(n));
  for (const [n, id] of ids.entries()) {
    let answer = await writer.answer(id);
    for (let { retryMs } = answer.header; typeof retryMs === 'number'; { retryMs } = answer.header) {
      await rest(retryMs);
      answer = await writer.answer(request(n));
    }
    assert.equal(answer.op, 'ok', answer.headerText);
  }
}
