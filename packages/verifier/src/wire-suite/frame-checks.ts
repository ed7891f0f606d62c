/** PROTOCOL.md §3 from outside: payloads as they are, frames typed by hand, frames that are not understood. */
import assert from 'node:assert/strict';
import { badFrames } from './bad-frames.ts';
import { assertError } from './talk.ts';
import { check, type Check, type Wire } from './wire.ts';

/** What a subscriber gets for an append with these bytes. */
async function relayed(
  wire: Wire,
  payload: string | Uint8Array,
): Promise<{ readonly binary: boolean; readonly bytes: Buffer }> {
  const talk = await wire.session();
  const channel = wire.channel();
  await talk.subscribe(channel);
  await talk.append(channel, payload);
  const record = await talk.nextOf('record', channel);
  assert.ok(record.payload !== undefined, 'a record without payload');
  return { binary: record.binary, bytes: record.payload };
}

export const frameChecks: readonly Check[] = [
  check('FRM-3 FRM-4', 'payload bytes are relayed as they are, JSON in a text message', async (wire) => {
    for (const text of [
      '{"a":1,  "b" : [ ]}',
      '1.0e+2',
      '"\\u00e4ä😀\\n"',
      '{"a":1,"a":2}',
      '-0',
      'null',
      JSON.stringify('x'.repeat(70_000)),
    ]) {
      const { binary, bytes } = await relayed(wire, text);
      assert.equal(bytes.toString('utf8'), text);
      assert.equal(binary, false);
    }
  }),

  check(
    'FRM-2 FRM-4 FRM-5',
    'opaque bytes, none of them included, come in a binary message as they are',
    async (wire) => {
      for (const sent of [
        new Uint8Array(),
        new Uint8Array([10]),
        new Uint8Array([0, 10, 13, 255, 254]),
        new Uint8Array(200_000).fill(0x80),
      ]) {
        const { binary, bytes } = await relayed(wire, sent);
        assert.deepEqual(new Uint8Array(bytes), sent);
        assert.equal(binary, true);
      }
    },
  ),

  check(
    'FRM-5',
    'white space around JSON is stripped, raw line breaks inside are removed, nothing else',
    async (wire) => {
      const { bytes } = await relayed(wire, ' \t\r\n{\r\n  "a" : [1,\n 2],\t"b":"x\\ny" }\n ');
      assert.equal(bytes.toString('utf8'), '{  "a" : [1, 2],\t"b":"x\\ny" }');
    },
  ),

  check('FRM-3 REC-1', 'two subscribers get the same bytes for the same record, header and payload', async (wire) => {
    const [one, two] = [await wire.session(), await wire.session()];
    const channel = wire.channel();
    await one.subscribe(channel);
    await two.subscribe(channel);
    await one.append(channel, '{"n":1}', {
      key: 'k',
      trace: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
    });
    const [a, b] = [await one.nextOf('record', channel), await two.nextOf('record', channel)];
    assert.equal(a.headerText, b.headerText);
    assert.deepEqual(a.payload, b.payload);
    await one.append(channel, '2');
    // The same again from the store, long after.
    const three = await wire.session();
    await three.subscribe(channel, 'oldest');
    assert.equal((await three.nextOf('record', channel)).headerText, a.headerText);
  }),

  check(
    'FRM-6',
    'a frame typed by hand may hold its payload in the header; its text as written is the payload',
    async (wire) => {
      const talk = await wire.session();
      const channel = wire.channel();
      await talk.subscribe(channel);
      talk.say(`{ "op":"append", "data": {"a":1.50,  "b":"\\u00e4"} ,"id":901,"channel":"${channel}","rid":"r1"}`);
      assert.equal((await talk.answer(901)).op, 'ok');
      assert.equal((await talk.nextOf('record', channel)).payload?.toString(), '{"a":1.50,  "b":"\\u00e4"}');
    },
  ),

  check('FRM-2', 'the header of a binary message is UTF-8, or the frame is not understood', async (wire) => {
    const talk = await wire.session();
    const channel = wire.channel();
    for (const member of ['"key":"\xff"', '"data":"\xff"', '"unknown":"\xff"']) {
      const frame = `{"op":"append","id":902,"channel":"${channel}","rid":"r1",${member}}`;
      talk.raw.sendBinary(Buffer.from(member.startsWith('"data"') ? frame : `${frame}\n1`, 'latin1'));
      assertError(await talk.nextOf('error'), 'bad_frame');
    }
    const page = await wire.http('GET', '/v1/records', { query: { channel } });
    assert.deepEqual((page.json as { records: unknown[] }).records, []);
  }),

  check('FRM-1', 'of a member given twice the last counts', async (wire) => {
    const talk = await wire.session();
    const channel = wire.channel();
    await talk.subscribe(channel);
    talk.say(
      `{"op":"pong","op":"append","id":901,"channel":"wire:other","channel":"${channel}","rid":"r1","data":1,"data":2}`,
    );
    assert.equal((await talk.answer(901)).op, 'ok');
    assert.equal((await talk.nextOf('record', channel)).payload?.toString(), '2');
  }),

  check(
    'FRM-7 COD-4',
    'each frame that is not understood is answered bad_frame, with its id where it has a usable one',
    async (wire) => {
      const channel = wire.channel();
      const talk = await wire.session();
      for (const [what, frame] of badFrames(channel)) {
        talk.say(frame);
        const error = await talk.nextOf('error');
        assertError(error, 'bad_frame');
        const usable = frame.includes('"id":4711');
        assert.equal(error.header['id'], usable ? 4_711 : undefined, `${what}: ${error.headerText}`);
        await talk.fence();
      }
      const page = await wire.http('GET', '/v1/records', { query: { channel } });
      assert.deepEqual(
        (page.json as { records: unknown[] }).records,
        [],
        'a frame that was not understood has stored something',
      );
    },
  ),

  check(
    'FRM-7 CLS-3',
    'ten bad frames in a row are answered, then the connection is closed with 4500',
    async (wire) => {
      const talk = await wire.session();
      for (let i = 0; i < 10; i++) talk.say('nonsense');
      for (let i = 0; i < 10; i++) assertError(await talk.nextOf('error'), 'bad_frame');
      assert.deepEqual(await talk.waitClosed(), { code: 4500, reason: 'bad_frame' });
    },
  ),

  check('FRM-7', 'any frame that is understood starts the count again, a refused one included', async (wire) => {
    const talk = await wire.session();
    for (let round = 0; round < 4; round++) {
      for (let i = 0; i < 9; i++) talk.say('nonsense');
      if (round % 2 === 0) await talk.refused('channel_unknown', { op: 'subscribe', channel: 'Nope' });
      else talk.say({ op: 'pong' });
    }
    await talk.fence();
  }),

  check('FRM-7 FRM-5', 'refusals do not count as bad: twenty in a row leave the connection alive', async (wire) => {
    const talk = await wire.session();
    for (let i = 0; i < 20; i++) await talk.refused('channel_unknown', { op: 'subscribe', channel: 'Nope' });
    for (let i = 0; i < 20; i++)
      await talk.refused('bad_cursor', { op: 'subscribe', channel: wire.channel(), from: 'x' });
    for (let i = 0; i < 20; i++)
      await talk.refused('bad_frame', { op: 'append', channel: wire.channel(), rid: 'r' }, '{no JSON');
    await talk.fence();
  }),

  check('FRM-7', 'an id in use is bad_frame, and the request that has it is answered once', async (wire) => {
    const talk = await wire.session();
    const channel = wire.channel();
    const frame = (rid: string): string => `${JSON.stringify({ op: 'append', id: 500, channel, rid })}\n{}`;
    talk.say(frame('a'));
    talk.say(frame('b'));
    await talk.next((heard) => heard.op === 'ok' && heard.header['id'] === 500, 'the ok of the first request');
    await talk.fence();
    const answers = talk.heard.all.filter((heard) => heard.header['id'] === 500);
    const bad = talk.heard.all.filter((heard) => heard.header['code'] === 'bad_frame');
    // Where the first was already answered the second is a request of its own.
    assert.ok(bad.length === 1 || answers.filter((heard) => heard.op === 'ok').length === 2, JSON.stringify(answers));
  }),

  check('FRM-8', 'unknown fields, and a payload on an op that takes none, are ignored', async (wire) => {
    const talk = await wire.session();
    const channel = wire.channel();
    await talk.ok({ op: 'subscribe', channel, colour: 'blue', nested: { a: [1] } }, 'no json at all');
    await talk.append(channel, '1', { colour: 'blue' });
    const record = await talk.nextOf('record', channel);
    assert.equal(record.header['colour'], undefined);
    talk.say({ op: 'pong' }, new Uint8Array([1, 2, 3]));
    await talk.fence();
  }),

  check('FRM-9', 'reserved ops and options are answered unsupported', async (wire) => {
    const talk = await wire.session();
    const channel = wire.channel();
    for (const op of ['enter', 'leave']) await talk.refused('unsupported', { op, channel }, '{}');
    await talk.refused('unsupported', { op: 'subscribe', channel, presence: true });
    await talk.refused('unsupported', { op: 'subscribe', channel, deliver: { mode: 'latest' } });
    await talk.refused('unsupported', { op: 'subscribe', channel, from: 'latest' });
    for (const path of ['/v1/latest', '/v1/presence']) {
      const answer = await wire.http('GET', path, { query: { channel } });
      assert.equal(answer.status, 501, answer.text);
    }
    await talk.ok({ op: 'subscribe', channel, presence: false, deliver: { mode: 'all' } });
  }),

  check(
    'FRM-10 LIM-1',
    'a record over its limit is too_large and the connection lives; one at its limit is stored',
    async (wire) => {
      const talk = await wire.connect();
      const hello = await talk.ok(wire.hello());
      const { recordBytes } = hello['limits'] as { recordBytes: number };
      const channel = wire.channel();
      await talk.refused('too_large', { op: 'append', channel, rid: 'over' }, new Uint8Array(recordBytes + 1));
      await talk.ok({ op: 'append', channel, rid: 'at' }, new Uint8Array(recordBytes));
      await talk.subscribe(channel, 'oldest');
      assert.equal((await talk.nextOf('record', channel)).payload?.length, recordBytes);
      const http = await wire.http('POST', '/v1/records', {
        query: { channel },
        body: new Uint8Array(recordBytes + 1),
        headers: { 'Content-Type': 'application/octet-stream' },
      });
      assert.equal(http.status, 413, http.text);
    },
  ),

  check(
    'FRM-10 COD-3',
    'a message larger than the largest record and 8 KiB, and than 64 KiB, closes with 1009',
    async (wire) => {
      const talk = await wire.connect();
      const hello = await talk.ok(wire.hello());
      const { recordBytes } = hello['limits'] as { recordBytes: number };
      const frame = JSON.stringify({ op: 'append', id: 99, channel: wire.channel(), rid: 'r' });
      const bytes = Math.max(recordBytes + 8 * 1024, 64 * 1024);
      talk.raw.sendBinary(Buffer.concat([Buffer.from(`${frame}\n`), new Uint8Array(bytes)]));
      assert.equal((await talk.waitClosed()).code, 1009);
    },
  ),

  check('FRM-10 COD-3', 'text that is not UTF-8 closes with 1007', async (wire) => {
    const talk = await wire.session();
    talk.raw.sendText(Buffer.from([0x7b, 0xff, 0xfe, 0x7d]));
    assert.equal((await talk.waitClosed()).code, 1007);
  }),

  check(
    'FRM-10 COD-3',
    'a broken WebSocket frame closes with 1002: reserved bits, unknown opcode, no mask',
    async (wire) => {
      for (const wrong of [{ first: 0xc1 }, { first: 0x83 }, { unmasked: true }]) {
        const talk = await wire.session();
        talk.raw.sendFrame(1, Buffer.from('{"op":"pong"}'), wrong);
        assert.equal((await talk.waitClosed()).code, 1002, JSON.stringify(wrong));
      }
    },
  ),

  check('FRM-1', 'a frame in many pieces is one frame: fragments, and a byte at a time', async (wire) => {
    const talk = await wire.session();
    const channel = wire.channel();
    await talk.subscribe(channel);
    const text = `${JSON.stringify({ op: 'append', id: 800, channel, rid: 'f' })}\n"ä😀"`;
    const bytes = Buffer.from(text);
    talk.raw.sendFrame(1, bytes.subarray(0, 5), { first: 0x01 });
    for (let i = 5; i < bytes.length - 1; i++) talk.raw.sendFrame(0, bytes.subarray(i, i + 1), { first: 0x00 });
    talk.raw.sendFrame(0, bytes.subarray(-1), { first: 0x80 });
    assert.equal((await talk.answer(800)).op, 'ok');
    assert.equal((await talk.nextOf('record', channel)).payload?.toString(), '"ä😀"');
  }),
];
