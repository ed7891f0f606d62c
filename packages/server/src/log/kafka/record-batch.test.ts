import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { array, assert as check, dictionary, nat, property, record, string, uint8Array } from 'fast-check';
import { batchTools, loadKafka } from './kafka-library.ts';
import { decodeBatches, encodeBatch, noProducer, recordBytesBound, type BatchTools } from './record-batch.ts';

let tools: BatchTools;
before(async () => {
  tools = batchTools(await loadKafka());
});

const texts = string({ unit: 'grapheme', maxLength: 20 });
const natives = array(
  record({
    channel: texts,
    value: uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
    headers: dictionary(texts, texts).map((all) => new Map(Object.entries(all))),
  }),
  { minLength: 1, maxLength: 50 },
);

/** What a broker makes of a batch: it gives it its first offset. */
function at(offset: number, batch: Buffer): Buffer {
  const stored = Buffer.from(batch);
  stored.writeBigInt64BE(BigInt(offset), 0);
  return stored;
}

function plain(count: number): Buffer {
  const one = { channel: 'a:b', value: Buffer.from('{}'), headers: new Map([['tideway-rid', 'r']]) };
  return encodeBatch(
    Array.from({ length: count }, () => one),
    noProducer,
    1_764_000_000_000,
    tools,
  );
}

test('whatever is encoded is decoded, from any offset on', () => {
  check(
    property(natives, nat(1_000_000), nat(60), (records, base, skip) => {
      const batch = encodeBatch(records, { id: 7n, epoch: 3, sequence: 2 ** 31 - 1 }, 1_764_000_000_000, tools);
      for (const one of records) assert.ok(recordBytesBound(one) > one.value.length);
      const from = base + Math.min(skip, records.length);
      const decoded = decodeBatches(at(base, batch), from, tools);
      const expected = records.slice(from - base).map((one, n) => ({
        number: from + n + 1,
        channel: one.channel,
        value: one.value,
        headers: one.headers,
        brokerTime: 1_764_000_000_000,
      }));
      assert.deepEqual(
        decoded.map((one) => ({ ...one, headers: new Map(one.headers) })),
        expected.map((one) => ({ ...one, headers: new Map(one.headers) })),
      );
    }),
    { numRuns: 200 },
  );
});

test('a batch that was cut off is left for the next fetch', () => {
  const two = Buffer.concat([at(0, plain(3)), at(3, plain(3))]);
  for (let length = 0; length < two.length; length++) {
    const decoded = decodeBatches(two.subarray(0, length), 0, tools);
    assert.equal(decoded.length, length < two.length / 2 ? 0 : 3);
  }
  assert.equal(decodeBatches(two, 0, tools).length, 6);
});

test('a hole between batches is found, and one before them', () => {
  assert.throws(
    () => decodeBatches(Buffer.concat([at(0, plain(3)), at(4, plain(3))]), 0, tools),
    /after offset 2 comes 4: a hole/,
  );
  assert.throws(() => decodeBatches(at(5, plain(1)), 4, tools), /after offset 3 comes 5: a hole/);
});

test('a hole inside a batch is found, as compaction leaves it', () => {
  const batch = plain(3);
  // The last offset is one further than the last record, or the records are fewer than they were.
  batch.writeInt32BE(3, 23);
  batch.writeUInt32BE(tools.crc32c(batch.subarray(21)), 17);
  assert.throws(() => decodeBatches(at(0, batch), 0, tools), /after offset 2 comes 4: a hole/);
});

test('any flipped bit behind the checksum is found, and a format that is not known', () => {
  const batch = at(0, plain(2));
  for (let byte = 21; byte < batch.length; byte++) {
    const bad = Buffer.from(batch);
    bad[byte] = (bad[byte] as number) ^ 0x10;
    assert.throws(() => decodeBatches(bad, 0, tools), /its checksum is another/, `byte ${byte}`);
  }
  batch[16] = 1;
  assert.throws(() => decodeBatches(batch, 0, tools), /has format 1/);
});
