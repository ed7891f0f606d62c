/** Cases of the log suite: what an append is answered, and that what it stored is what a tail gives. */
import assert from 'node:assert/strict';
import { computeTag } from '@tideway/protocol';
import type { PhysicalRecord } from 'tideway/log';
import { assertAllStored, assertAscending, type LogCase } from './log-case.ts';

const optional = ['time', 'user', 'rid', 'key', 'expect', 'trace', 'ticket'] as const;

/** A record with only what it has, so that an absent field equals an undefined one. */
function fieldsOf(record: PhysicalRecord): Record<string, unknown> {
  const { channel, kind, encoding, payload } = record;
  const fields: Record<string, unknown> = { channel, kind, encoding, payload: payload.toString('latin1') };
  for (const name of optional) if (record[name] !== undefined) fields[name] = record[name];
  return fields;
}

export const appendCases: readonly LogCase[] = [
  {
    id: 'order',
    title: 'records come on the tail in the order of the appends, each once, positions ascending',
    async run(room) {
      const reading = await room.read();
      const records = room.records(300);
      for (let n = 0; n < 300; n += 30) await room.store(records.slice(n, n + 30));
      await reading.count(300);
      assert.deepEqual(
        reading.rids,
        records.map(({ rid }) => rid),
      );
      assertAscending(reading.records);
      assert.equal((await room.log.bounds(room.partition)).newest, reading.records.at(-1)?.position);
    },
  },
  {
    id: 'fields',
    title: 'every field of a record comes back as it was appended, live and read again, with its tag (CUR-4)',
    async run(room) {
      const [plain] = room.records(1) as [PhysicalRecord];
      const { channel } = plain;
      const records: PhysicalRecord[] = [
        { channel, kind: 'data', encoding: 'bytes', payload: Buffer.alloc(0) },
        { channel, kind: 'trim', encoding: 'json', payload: Buffer.alloc(0), time: 0 },
        { channel, kind: 'data', encoding: 'bytes', payload: Buffer.alloc(1_500_000, 7), time: 1 },
        {
          channel,
          kind: 'data',
          encoding: 'json',
          payload: Buffer.from('{"a":"ü€😀"}'),
          user: 'Zoë',
          key: 'ключ',
          rid: '',
        },
        {
          ...plain,
          user: 'u',
          key: '',
          expect: 'Ab3-_z.41234.zzzz',
          trace: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
          ticket: 'ticket-1',
        },
        { channel, kind: 'close', encoding: 'json', payload: Buffer.alloc(0), time: 2 ** 45 },
      ];
      const live = await room.read();
      await room.store(records);
      await live.count(records.length);
      // A record without a time may come with its broker's, the same for everybody.
      const stored = records.map((record, n) => ({ ...record, time: record.time ?? live.records[n]?.record.time }));
      for (const seen of [live.records, await room.readAll()]) {
        assert.deepEqual(
          seen.map(({ record }) => fieldsOf(record)),
          stored.map((record) => fieldsOf(record)),
        );
        assert.deepEqual(
          seen.map(({ tag }) => tag),
          stored.map((record) => computeTag(record)),
        );
      }
    },
  },
  {
    id: 'outcomes',
    title: 'each record is answered in its own slot: one too large is refused, its neighbours are stored',
    async run(room) {
      const { recordBytesMax } = room.log.declares;
      const large = Buffer.alloc(recordBytesMax + 1);
      const records = [
        ...room.records(2),
        ...room.records(1, { encoding: 'bytes', payload: large }),
        ...room.records(2),
      ];
      const outcomes = await room.log.append(records);
      assert.equal(outcomes.length, 5);
      const refused = outcomes[2];
      assert.ok(refused?.state === 'refused' && refused.code === 'too_large', JSON.stringify(refused));
      assert.match(refused.message, new RegExp(String(recordBytesMax)));
      assertAllStored(outcomes.toSpliced(2, 1));
      const seen = await room.readAll();
      assert.deepEqual(
        seen.map(({ record }) => record.rid),
        records.toSpliced(2, 1).map(({ rid }) => rid),
      );
    },
  },
  {
    id: 'largest',
    title: 'a record of the largest size is stored and comes back whole, live and read again',
    async run(room) {
      const payload = Buffer.alloc(room.log.declares.recordBytesMax);
      for (let at = 0; at < payload.length; at += 997) payload[at] = at;
      const live = await room.read();
      await room.store([...room.records(1), ...room.records(1, { encoding: 'bytes', payload }), ...room.records(1)]);
      await live.count(3);
      for (const seen of [live.records, await room.readAll()]) {
        assert.deepEqual(
          seen.map(({ record }) => record.rid),
          ['r1', 'r2', 'r3'],
        );
        assert.ok(seen[1]?.record.payload.equals(payload));
      }
    },
  },
  {
    id: 'channels',
    title: 'any channel name is stored as it is, and its records are in its partition (NAM-1)',
    async run(room) {
      const { partitionOf, epochs } = room.constants;
      const names = [
        `${'n'.repeat(32)}:${'r'.repeat(200)}`,
        '$system:vitals',
        'a:_.-~/@=+,',
        'a:/a//b/',
        'a:...',
        'a:A',
        'a:a',
        'a:~E2~82~AC',
        'a-b:0',
        ...Array.from({ length: 50 }, (_, n) => `suite:channel/${n}`),
      ];
      const readings = await Promise.all(epochs.map((_, n) => room.read('oldest', room.log, n)));
      await room.store(names.flatMap((channel) => room.records(2, { channel })));
      for (const [partition, reading] of readings.entries()) {
        const expected = names.filter((name) => partitionOf(name) === partition).flatMap((name) => [name, name]);
        await reading.count(expected.length);
        assert.deepEqual(
          reading.records.map(({ record }) => record.channel),
          expected,
        );
        assertAscending(reading.records);
      }
    },
  },
  {
    id: 'nothing',
    title: 'an append of nothing is answered with nothing',
    async run(room) {
      assert.deepEqual(await room.log.append([]), []);
    },
  },
  {
    id: 'concurrent',
    title: 'appends that are not waited for keep the order of their calls',
    async run(room) {
      const reading = await room.read();
      const calls = Array.from({ length: 200 }, (_, n) => room.records(1 + (n % 4)));
      const answers = await Promise.all(calls.map((records) => room.log.append(records)));
      answers.forEach((outcomes) => assertAllStored(outcomes));
      const wanted = calls.flat().map(({ rid }) => rid);
      await reading.count(wanted.length);
      assert.deepEqual(reading.rids, wanted);
      assertAscending(reading.records);
    },
  },
  {
    id: 'duplicates',
    title: 'the log does not judge: the same record twice is two records',
    async run(room) {
      const records = room.records(1);
      await room.store(records);
      await room.store(records);
      assert.deepEqual(
        (await room.readAll()).map(({ record }) => record.rid),
        [records[0]?.rid, records[0]?.rid],
      );
    },
  },
  {
    id: 'handed-first',
    title: 'an append is answered only after its records were handed to every tail at the end of the log',
    async run(room) {
      const readings = [await room.read(), await room.read()];
      for (let n = 1; n <= 50; n++) {
        await room.store(room.records(1));
        for (const reading of readings) assert.equal(reading.records.length, n);
      }
    },
  },
  {
    id: 'overloaded',
    title: 'the queue is bounded: what does not fit is refused overloaded, and nothing after it is stored in its place',
    size: 'small',
    async run(room) {
      const records = room.records(1_000, { encoding: 'bytes', payload: Buffer.alloc(1_000, 0x20) });
      const calls = [records.slice(0, 600), records.slice(600)];
      const outcomes = (await Promise.all(calls.map((call) => room.log.append(call)))).flat();
      const stored = outcomes.findIndex(({ state }) => state !== 'stored');
      assert.ok(stored > 0, `${stored} were stored before one was refused`);
      for (const outcome of outcomes.slice(stored)) {
        assert.ok(outcome.state === 'refused' && outcome.code === 'overloaded', JSON.stringify(outcome));
      }
      assert.deepEqual(
        (await room.readAll()).map(({ record }) => record.rid),
        records.slice(0, stored).map(({ rid }) => rid),
      );
      await room.log.settled(room.partition, (await room.log.bounds(room.partition)).newest);
      await room.store(room.records(1));
    },
  },
];
