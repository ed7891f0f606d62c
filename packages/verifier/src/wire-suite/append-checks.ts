/** PROTOCOL.md §7 and §8 from outside: outcomes, repeats, order, conflicts, signals. */
import assert from 'node:assert/strict';
import { appendMany, cursorOf, textOf } from './records.ts';
import { assertError, type Heard } from './talk.ts';
import { check, type Check } from './wire.ts';

export const appendChecks: readonly Check[] = [
  check('APP-1', 'what is acknowledged can be read at once, by another session and over HTTP', async (wire) => {
    const talk = await wire.session();
    const channel = wire.channel();
    for (let i = 0; i < 20; i++) {
      const { cursor } = await talk.append(channel, String(i));
      const page = await wire.http('GET', '/v1/records', { query: { channel, limit: '1' } });
      assert.equal((page.json as { records: { cursor: string }[] }).records[0]?.cursor, cursor);
    }
  }),

  check(
    'APP-2',
    'a repeat is answered with the first cursor and duplicate, payload or not, and delivers nothing',
    async (wire) => {
      const talk = await wire.session();
      const channel = wire.channel();
      await talk.subscribe(channel);
      const first = await talk.ok({ op: 'append', channel, rid: 'same' }, '1');
      assert.ok(!('duplicate' in first));
      for (const payload of ['1', '"other"', new Uint8Array([1])]) {
        const again = await (await wire.session()).ok({ op: 'append', channel, rid: 'same' }, payload);
        assert.deepEqual([again['cursor'], again['duplicate']], [first['cursor'], true]);
      }
      const http = await wire.http('POST', '/v1/records', {
        query: { channel },
        body: '1',
        headers: { 'Idempotency-Key': 'same' },
      });
      assert.deepEqual([http.status, http.json], [200, { cursor: first['cursor'], duplicate: true }]);
      await talk.append(channel, '"next"');
      assert.deepEqual((await talk.records(channel, 2)).map(textOf), ['1', '"next"']);
    },
  ),

  check('APP-2', 'the same rid in another channel is another record', async (wire) => {
    const talk = await wire.session();
    for (const channel of [wire.channel(), wire.channel()]) {
      assert.ok(!('duplicate' in (await talk.ok({ op: 'append', channel, rid: 'shared' }, '1'))));
    }
  }),

  check('APP-2', 'repeats of one in flight, from many sessions at once, make one record', async (wire) => {
    const channel = wire.channel();
    const sessions = await Promise.all(Array.from({ length: 8 }, () => wire.session()));
    for (let round = 0; round < 5; round++) {
      const answers = await Promise.all(
        sessions.map((talk, i) => talk.ok({ op: 'append', channel, rid: `round-${round}` }, String(i))),
      );
      assert.equal(new Set(answers.map((ok) => ok['cursor'])).size, 1);
      assert.equal(answers.filter((ok) => ok['duplicate'] !== true).length, 1);
    }
    const page = await wire.http('GET', '/v1/records', { query: { channel } });
    assert.equal((page.json as { records: unknown[] }).records.length, 5);
  }),

  check('APP-3', "a session's appends are stored in the order sent, each answered once", async (wire) => {
    const talk = await wire.session();
    const channel = wire.channel();
    const cursors = await appendMany(talk, channel, 1_000);
    assert.deepEqual(cursors, cursors.toSorted());
    assert.equal(new Set(cursors).size, 1_000);
  }),

  check('APP-3', 'a final refusal in the middle does not stop the others', async (wire) => {
    const talk = await wire.session();
    const channel = wire.channel();
    await talk.subscribe(channel);
    const ids = ['1', '{no json', '3'].map((payload, i) =>
      talk.request({ op: 'append', channel, rid: `r${i}` }, payload),
    );
    const answers = await talk.answers(ids);
    assert.deepEqual(
      answers.map((answer) => answer.op),
      ['ok', 'error', 'ok'],
    );
    await talk.append(channel, '"end"');
    const records = await talk.records(channel, 3);
    assert.deepEqual(records.map(textOf), ['1', '3', '"end"']);
  }),

  check(
    'APP-3',
    'after a retryable error all later appends of the channel get the same code until restart, and order holds',
    async (wire) => {
      const talk = await wire.session();
      const [channel, other] = [wire.channel(), wire.channel()];
      const count = 6_000;
      const ids = Array.from({ length: count }, (_, i) =>
        talk.request({ op: 'append', channel, rid: `r${i}` }, String(i)),
      );
      const answers = await talk.answers(ids);
      const failed = answers.findIndex((answer) => answer.op === 'error');
      if (failed < 0)
        wire.skip('no retryable refusal could be provoked: this server takes thousands of appends at once');
      const code = answers[failed]?.header['code'] as 'rate_limited';
      for (const answer of answers.slice(0, failed)) assert.equal(answer.op, 'ok', answer.headerText);
      for (const answer of answers.slice(failed)) assertError(answer, code);
      // Without restart the same code, however long after; another channel is not concerned.
      const deadline = Date.now() + wire.deadlineMs;
      for (;;) {
        const elsewhere = await talk.ask({ op: 'append', channel: other, rid: crypto.randomUUID() }, '1');
        if (elsewhere.op === 'ok' || Date.now() > deadline) break;
      }
      await talk.refused(code, { op: 'append', channel, rid: `r${failed}` }, String(failed));
      // Go back: the oldest unanswered one first, with restart; a page of them at a time.
      for (let next = failed; next < failed + 50; next++) {
        for (;;) {
          const answer = await talk.ask({ op: 'append', channel, rid: `r${next}`, restart: true }, String(next));
          if (answer.op === 'ok') break;
          assertError(answer, code);
        }
      }
      await talk.subscribe(channel, 'oldest');
      const records = await talk.records(channel, Math.min(failed + 50, 1_000));
      const first = Number(textOf(records[0] as Heard));
      assert.deepEqual(
        records.map((record) => Number(textOf(record))),
        records.map((_, i) => first + i),
      );
    },
  ),

  check('APP-5 REC-3', 'the writer gets its own record too, behind the ok', async (wire) => {
    const talk = await wire.session();
    const channel = wire.channel();
    await talk.subscribe(channel);
    const pending = new Map<string, number>();
    for (let i = 0; i < 300; i++)
      pending.set(`r${i}`, talk.request({ op: 'append', channel, rid: `r${i}` }, String(i)));
    await talk.records(channel, 300);
    const answered = new Set<unknown>();
    for (const frame of talk.heard.all) {
      if (frame.op === 'ok') answered.add(frame.header['id']);
      if (frame.op !== 'record') continue;
      const id = pending.get(frame.header['rid'] as string);
      assert.ok(answered.has(id), `the record ${String(frame.header['rid'])} came before its ok`);
    }
  }),

  check(
    'APP-6',
    'expect refuses with conflict where a record of the key lies behind it, and lets the others pass',
    async (wire) => {
      const talk = await wire.session();
      const channel = wire.channel();
      const start = (await talk.subscribe(channel))['cursor'] as string;
      const k1 = await talk.append(channel, '1', { key: 'k', expect: start });
      await talk.refused('conflict', { op: 'append', channel, rid: 'c1', key: 'k', expect: start }, '2');
      await talk.append(channel, '3', { key: 'other', expect: start });
      await talk.append(channel, '4', { key: 'k', expect: k1['cursor'] });
      // A repeat of what was refused is refused alike, also when the place would fit now.
      await talk.refused('conflict', { op: 'append', channel, rid: 'c1', key: 'k', expect: start }, '2');
      await talk.refused('bad_cursor', { op: 'append', channel, rid: 'c3', key: 'k', expect: 'rubbish' }, '7');
      assert.deepEqual((await talk.records(channel, 3)).map(textOf), ['1', '3', '4']);
    },
  ),

  check('APP-6', 'expect is about a key: without one it is bad_frame', async (wire) => {
    const talk = await wire.session();
    const channel = wire.channel();
    const start = (await talk.subscribe(channel))['cursor'] as string;
    await talk.refused('bad_frame', { op: 'append', channel, rid: 'k0', expect: start }, '1');
    await talk.append(channel, '2', { key: 'k', expect: start });
  }),

  check('APP-6', 'of many writers with one expect exactly one wins', async (wire) => {
    const channel = wire.channel();
    const sessions = await Promise.all(Array.from({ length: 6 }, () => wire.session()));
    let place = (await (sessions[0] as (typeof sessions)[0]).subscribe(channel))['cursor'] as string;
    for (let round = 0; round < 10; round++) {
      const answers = await Promise.all(
        sessions.map((talk, i) =>
          talk.ask({ op: 'append', channel, rid: `${round}-${i}`, key: 'k', expect: place }, String(i)),
        ),
      );
      const won = answers.filter((answer) => answer.op === 'ok');
      assert.equal(won.length, 1, answers.map((answer) => answer.headerText).join('\n'));
      for (const answer of answers) if (answer.op === 'error') assertError(answer, 'conflict');
      place = cursorOf(won[0]);
    }
  }),

  check('LIM-1', 'far more than 64 commands at once are all answered', async (wire) => {
    const talk = await wire.session();
    const channel = wire.channel();
    const ids = Array.from({ length: 500 }, (_, i) =>
      i % 5 === 0
        ? talk.request({ op: 'unsubscribe', channel })
        : talk.request({ op: 'append', channel, rid: `r${i}` }, '1'),
    );
    for (const answer of await talk.answers(ids)) assert.equal(answer.op, 'ok', answer.headerText);
    await talk.fence();
    const answered = talk.heard.all.map((frame) => frame.header['id']);
    for (const id of ids) assert.equal(answered.filter((one) => one === id).length, 1, 'a request was answered twice');
  }),
];

export const signalChecks: readonly Check[] = [
  check(
    'SIG-1 SIG-2',
    'a signal reaches those subscribed now, not its own instance, and moves no place',
    async (wire) => {
      const [sender, follower] = [await wire.session(), await wire.session()];
      const channel = wire.channel();
      await sender.subscribe(channel);
      const ok = await follower.subscribe(channel);
      sender.say({ op: 'signal', channel, key: 'typing' }, '{"typing": true}');
      const signal = await follower.nextOf('signal', channel);
      assert.equal(textOf(signal), '{"typing": true}');
      assert.equal(signal.header['key'], 'typing');
      assert.ok(!('cursor' in signal.header) && !signal.binary);
      await sender.fence();
      assert.ok(!sender.heard.all.some((frame) => frame.op === 'signal'));
      const late = await (await wire.session()).subscribe(channel, 'oldest');
      assert.equal(late['head'], late['cursor']);
      assert.equal(late['cursor'], ok['cursor']);
    },
  ),

  check('SIG-1', 'signals of one sender arrive in order, bytes as bytes', async (wire) => {
    const [sender, follower] = [await wire.session(), await wire.session()];
    const channel = wire.channel();
    await follower.subscribe(channel);
    for (let i = 0; i < 50; i++) sender.say({ op: 'signal', channel }, String(i));
    for (let i = 0; i < 50; i++) assert.equal(textOf(await follower.nextOf('signal', channel)), String(i));
    sender.say({ op: 'signal', channel }, new Uint8Array([0, 10, 255]));
    const signal = await follower.nextOf('signal', channel);
    assert.deepEqual([signal.binary, [...(signal.payload ?? [])]], [true, [0, 10, 255]]);
  }),

  check(
    'SIG-1 FRM-5 LIM-1',
    'a signal over 16 KiB, without payload or of a wrong channel is answered by an error without id',
    async (wire) => {
      const talk = await wire.session();
      const channel = wire.channel();
      talk.say({ op: 'signal', channel }, new Uint8Array(16 * 1024 + 1));
      assertError(await talk.nextOf('error'), 'too_large');
      talk.say({ op: 'signal', channel });
      assertError(await talk.nextOf('error'), 'bad_frame');
      talk.say({ op: 'signal', channel: 'Nope' }, '{}');
      const error = await talk.nextOf('error');
      assertError(error, 'channel_unknown');
      assert.ok((error.header['message'] as string).includes('Nope'), 'the message names the channel (SIG-3)');
      assert.ok(talk.heard.all.every((frame) => frame.op !== 'error' || !('id' in frame.header)));
    },
  ),

  check(
    'HTTP-8 SIG-1',
    'a signal over HTTP is 202 and reaches subscribers; to= a user who is not there reaches nobody',
    async (wire) => {
      const follower = await wire.session();
      const channel = wire.channel();
      await follower.subscribe(channel);
      const aside = await wire.http('POST', '/v1/signals', {
        query: { channel, to: 'nobody-of-this-name' },
        body: '"aside"',
      });
      assert.equal(aside.status, 202, aside.text);
      const answer = await wire.http('POST', '/v1/signals', {
        query: { channel },
        body: '"hi"',
        headers: { 'Tideway-Key': 'k%C3%A4' },
      });
      assert.equal(answer.status, 202, answer.text);
      const signal = await follower.nextOf('signal', channel);
      assert.deepEqual([textOf(signal), signal.header['key']], ['"hi"', 'kä']);
    },
  ),
];
