import assert from 'node:assert/strict';
import { test } from 'node:test';
import { computeTag, formatTag } from '@tideway/protocol';
import * as fc from 'fast-check';
import type { PhysicalRecord } from './log.ts';
import {
  checkedEnd,
  decodeRecord,
  encodedBytes,
  encodedBytesBound,
  encodeRecord,
  recordFault,
  recordTag,
} from './record.ts';

const text = fc.string({ unit: 'binary', maxLength: 40 });
const maybe = fc.option(text, { nil: undefined });
const records: fc.Arbitrary<PhysicalRecord> = fc.record(
  {
    channel: text,
    kind: fc.constantFrom('data' as const, 'trim' as const, 'close' as const),
    encoding: fc.constantFrom('json' as const, 'bytes' as const),
    payload: fc
      .oneof(fc.uint8Array({ maxLength: 80 }), fc.uint8Array({ minLength: 1000, maxLength: 3000 }))
      .map((bytes) => Buffer.from(bytes)),
    time: fc.option(fc.maxSafeNat(), { nil: undefined }),
    user: maybe,
    rid: maybe,
    key: maybe,
    expect: maybe,
    trace: maybe,
    ticket: maybe,
  },
  { noNullPrototype: true },
);

test('a record reads back as it was written, wherever it stands in the buffer', () => {
  fc.assert(
    fc.property(records, fc.nat(50), (record, at) => {
      const bytes = Buffer.alloc(at + encodedBytesBound(record), 0xa5);
      encodeRecord(record, bytes, at);
      const end = at + encodedBytes(bytes, at);
      const decoded = decodeRecord(bytes, at, end);
      assert.ok(decoded !== undefined);
      assert.deepEqual(decoded.record, record);
      assert.equal(decoded.end, end);
      assert.equal(checkedEnd(bytes, at, end), end);
      assert.deepEqual(bytes.subarray(end), Buffer.alloc(bytes.length - end, 0xa5));
    }),
  );
});

test('CUR-4: the tag of a written record, and of one read back, is the tag that the protocol computes', () => {
  fc.assert(
    fc.property(records, (record) => {
      const bytes = Buffer.alloc(encodedBytesBound(record));
      const crc = encodeRecord(record, bytes, 0);
      assert.equal(formatTag(crc), computeTag(record));
      assert.equal(decodeRecord(bytes, 0, bytes.length)?.tagCrc, crc);
      assert.equal(recordTag(record), computeTag(record));
    }),
  );
});

test('CUR-4: the tag of a record with texts of any length is the tag that the protocol computes', () => {
  const long = fc.nat(3_000).map((length) => '€'.repeat(length));
  fc.assert(
    fc.property(records, long, long, (record, user, key) => {
      assert.equal(recordTag({ ...record, user, key }), computeTag({ ...record, user, key }));
    }),
  );
});

test('a record with any byte changed is not read', () => {
  fc.assert(
    fc.property(records, fc.nat(), fc.integer({ min: 1, max: 255 }), (record, where, flip) => {
      const bytes = Buffer.alloc(encodedBytesBound(record));
      encodeRecord(record, bytes, 0);
      const end = encodedBytes(bytes, 0);
      bytes[where % end] = (bytes[where % end] as number) ^ flip;
      assert.equal(decodeRecord(bytes, 0, end), undefined);
      assert.equal(checkedEnd(bytes, 0, end), undefined);
    }),
    { numRuns: 2000 },
  );
});

test('a record cut short anywhere is not read', () => {
  fc.assert(
    fc.property(records, fc.nat(), (record, where) => {
      const bytes = Buffer.alloc(encodedBytesBound(record));
      encodeRecord(record, bytes, 0);
      const cut = where % encodedBytes(bytes, 0);
      assert.equal(decodeRecord(bytes.subarray(0, cut), 0, cut), undefined);
      assert.equal(checkedEnd(bytes.subarray(0, cut), 0, cut), undefined);
      assert.equal(decodeRecord(Buffer.concat([bytes.subarray(0, cut), Buffer.alloc(64)]), 0, cut), undefined);
    }),
  );
});

test('zeroes are no record', () => {
  assert.equal(decodeRecord(Buffer.alloc(100), 0, 100), undefined);
  assert.equal(checkedEnd(Buffer.alloc(100), 0, 100), undefined);
});

test('what cannot be encoded is named with its value', () => {
  const record: PhysicalRecord = { channel: 'chat:1', kind: 'data', encoding: 'json', payload: Buffer.from('1') };
  assert.equal(recordFault(record), undefined);
  assert.match(recordFault({ ...record, time: 1.5 }) ?? '', /time .* 1\.5/);
  assert.match(recordFault({ ...record, time: -1 }) ?? '', /time .* -1/);
  assert.match(recordFault({ ...record, key: 'k'.repeat(9000) }) ?? '', /key has 9000 characters/);
});
