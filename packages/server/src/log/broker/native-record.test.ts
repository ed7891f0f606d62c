import assert from 'node:assert/strict';
import { test } from 'node:test';
import { computeTag, isRid, limits, normalizeJson } from '@tideway/protocol';
import * as fc from 'fast-check';
import { recordTag } from '../record.ts';
import type { PhysicalRecord } from '../log.ts';
import { fromNative, partitionOfChannel, textsFault, toNative, type NativeRecord } from './native-record.ts';

const json = (text: string, headers: Record<string, string> = {}): NativeRecord => ({
  channel: 'a:b',
  value: Buffer.from(text),
  headers: new Map(Object.entries(headers)),
});
const isUnreadable = ({ channel }: PhysicalRecord): boolean => channel === '';

const text = fc.string({ unit: 'grapheme', maxLength: 20 });
const option = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(arbitrary, { nil: undefined });
const ascii = fc.string({ unit: 'grapheme-ascii', maxLength: 64 });
const data: fc.Arbitrary<PhysicalRecord> = fc.record({
  channel: fc.constantFrom('a:b', 'chat:1/2', '$system:vitals'),
  kind: fc.constant('data'),
  encoding: fc.constant('bytes'),
  payload: fc.uint8Array({ maxLength: 2_000 }).map((bytes) => Buffer.from(bytes)),
  time: option(fc.integer({ min: 0, max: 2 ** 53 - 1 })),
  user: option(text),
  rid: option(ascii),
  key: option(text),
  expect: option(fc.constantFrom('Ab3-_z.41234.zzzz', '', 'x')),
  trace: option(ascii),
  ticket: option(ascii),
});
const payloads = fc.json({ noUnicodeString: false }).map((value) => Buffer.from(normalizeJson(value) ?? ''));
const record: fc.Arbitrary<PhysicalRecord> = fc.oneof(
  data,
  fc.tuple(data, payloads).map(([one, payload]) => ({ ...one, encoding: 'json', payload }) as const),
  fc
    .tuple(data, fc.constantFrom('trim', 'close'), fc.constantFrom('json', 'bytes'))
    .map(([one, kind, encoding]) => ({ ...one, kind, encoding, payload: Buffer.alloc(0) })),
);

test('what is appended comes back as it was, with the tag that the protocol computes (CUR-4)', () => {
  fc.assert(
    fc.property(record, (one) => {
      fc.pre(textsFault(one) === undefined);
      const back = fromNative(toNative(one));
      assert.deepEqual(back, { ...one });
      assert.equal(recordTag(back), computeTag(one));
    }),
    { numRuns: 1_000 },
  );
});

test('whatever stands on the broker is read without a throw, and what is read has only what a frame may hold', () => {
  const names = 'tideway-kind tideway-encoding tideway-time tideway-user tideway-rid tideway-key tideway-expect';
  const headers = fc
    .dictionary(
      fc.constantFrom(...names.split(' '), 'traceparent', 'tideway-ticket', 'other'),
      fc.oneof(
        fc.constantFrom('data', 'trim', 'close', 'json', 'bytes', '', '0', '-1', '1e3', '99999999999999999', 'é'),
        fc.string({ unit: 'grapheme', maxLength: 300 }),
      ),
    )
    .map((one) => new Map(Object.entries(one)));
  const value = fc.oneof(
    fc.uint8Array({ maxLength: 50 }).map((bytes) => Buffer.from(bytes)),
    fc.json().map((one) => Buffer.from(` ${one}\r\n`)),
    fc.constantFrom('', ' ', '{', '\ufeff1', '1 2', '"\\ud800"', 'nul').map((one) => Buffer.from(one)),
  );
  const native: fc.Arbitrary<NativeRecord> = fc
    .record({
      channel: option(fc.constantFrom('a:b', 'not a channel', '')),
      value,
      headers,
      brokerTime: option(fc.oneof(fc.integer(), fc.double())),
    })
    .map(({ brokerTime, ...rest }) => (brokerTime === undefined ? rest : { ...rest, brokerTime }));
  fc.assert(
    fc.property(native, (one) => {
      const read = fromNative(one);
      assert.equal(recordTag(read), computeTag(read));
      assert.ok(read.time === undefined || (Number.isSafeInteger(read.time) && read.time >= 0));
      if (isUnreadable(read)) return;
      assert.equal(read.channel, one.channel);
      assert.ok(Buffer.byteLength(read.user ?? '') <= limits.userBytes);
      assert.ok(Buffer.byteLength(read.key ?? '') <= limits.keyBytes);
      assert.ok(read.rid === undefined || read.rid === '' || isRid(read.rid));
      if (read.kind !== 'data') assert.equal(read.payload.length, 0);
      else if (read.encoding === 'json') assert.equal(normalizeJson(read.payload.toString()), read.payload.toString());
      else assert.ok(read.payload.equals(one.value));
    }),
    { numRuns: 2_000 },
  );
});

test('JSON of a foreign producer is taken, cleaned or hidden as at the edge (FRM-5)', () => {
  assert.equal(String(fromNative(json(' {"a":\r\n 1}\n')).payload), '{"a": 1}');
  const whole = json('{"a":1}');
  assert.equal(fromNative(whole).payload, whole.value, 'nothing is copied where nothing has to go');
  for (const value of ['', ' ', '{', '\ufeff{}', '{} {}', "{'a':1}"]) {
    assert.ok(isUnreadable(fromNative(json(value))), JSON.stringify(value));
  }
  const broken = fromNative({ ...json(''), value: Buffer.from([0x22, 0xff, 0xfe, 0x22]) });
  assert.ok(isUnreadable(broken));
  assert.equal(broken.payload.length, 4);
  const opaque = { ...json('', { 'tideway-encoding': 'bytes' }), value: Buffer.from([0xff]) };
  assert.equal(fromNative(opaque).channel, 'a:b');
});

test('texts over their limit are hidden, those at it are not (NAM-4)', () => {
  for (const [name, atLimit, over] of [
    ['tideway-user', 'ü'.repeat(127), 'ü'.repeat(128)],
    ['tideway-key', 'k'.repeat(128), 'k'.repeat(129)],
    ['tideway-rid', 'r'.repeat(64), 'r'.repeat(65)],
    ['tideway-rid', '~ ', 'ä'],
    ['tideway-rid', 'r', 'a\nb'],
    ['traceparent', 't'.repeat(64), 't'.repeat(65)],
    ['tideway-expect', 'e'.repeat(64), 'e'.repeat(65)],
  ] as const) {
    assert.ok(!isUnreadable(fromNative(json('1', { [name]: atLimit }))), name);
    assert.ok(isUnreadable(fromNative(json('1', { [name]: over }))), name);
  }
});

test('a payload over 16 MiB is hidden, one of just that size is not', () => {
  for (const [bytes, isHidden] of [
    [limits.recordBytesMax, false],
    [limits.recordBytesMax + 1, true],
  ] as const) {
    const value = Buffer.alloc(bytes);
    const record = fromNative({ channel: 'a:b', value, headers: new Map([['tideway-encoding', 'bytes']]) });
    assert.equal(isUnreadable(record), isHidden, String(bytes));
  }
});

test('a kind or an encoding that is not known is hidden; a control has no payload, whatever was sent with it', () => {
  assert.ok(isUnreadable(fromNative(json('1', { 'tideway-kind': 'delete' }))));
  assert.ok(isUnreadable(fromNative(json('1', { 'tideway-encoding': 'avro' }))));
  assert.ok(isUnreadable(fromNative({ ...json('1'), channel: undefined })));
  const close = fromNative(json('not JSON', { 'tideway-kind': 'close' }));
  assert.equal(close.kind, 'close');
  assert.equal(close.channel, 'a:b');
  assert.equal(close.payload.length, 0);
});

test('a record that is hidden still has its ticket: its appender is answered', () => {
  assert.equal(fromNative(json('{', { 'tideway-ticket': 'node.1' })).ticket, 'node.1');
});

test('a time that is none gives way to the broker’s own', () => {
  for (const time of ['', '-1', '1.5', '1e3', ' 1', '99999999999999999']) {
    assert.equal(fromNative({ ...json('1', { 'tideway-time': time }), brokerTime: 7 }).time, 7, time);
  }
  assert.equal(fromNative({ ...json('1', { 'tideway-time': '12' }), brokerTime: 7 }).time, 12);
  assert.equal(fromNative(json('1')).time, undefined);
  assert.equal(fromNative({ ...json('1'), brokerTime: -1 }).time, undefined);
});

test('the partition of a channel is the CRC-32 of its name, modulo their number', () => {
  assert.equal(partitionOfChannel('chat:42', 1), 0);
  assert.equal(partitionOfChannel('chat:42', 8), Number(BigInt(crcOf('chat:42')) % 8n));
  assert.equal(partitionOfChannel('123456789', 1_000_000_007), 0xcbf43926 % 1_000_000_007);
});

/** CRC-32, bit by bit, as the documents say it. */
function crcOf(name: string): number {
  let crc = 0xffffffff;
  for (const byte of Buffer.from(name)) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return (crc ^ 0xffffffff) >>> 0;
}
