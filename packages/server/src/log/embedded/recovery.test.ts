/** A folder cut or changed at every byte: what was acknowledged is there or the log says where it is damaged. */
import assert from 'node:assert/strict';
import { basename } from 'node:path';
import { test } from 'node:test';
import { checkLog } from './check.ts';
import { EmbeddedLog } from './embedded-log.ts';
import { LogDamagedError } from './recovery.ts';
import { BATCH_HEAD_BYTES, SEGMENT_HEAD_BYTES } from './segment-format.ts';
import { FOLDER, MemoryRoom, readAll, records, rids } from './testing/log-room.ts';

const SEGMENT = `${FOLDER}/segments/00000000000000000001.seg`;

interface Written {
  readonly files: ReadonlyMap<string, Buffer>;
  /** Where each batch ends, with how many records so far. */
  readonly ends: readonly { readonly offset: number; readonly count: number }[];
  /** The run of the machine. */
  readonly boot: string;
}

/** A folder of one segment that a log left which was killed, or closed. */
async function written(sizes: readonly number[], ending: 'killed' | 'closed' = 'killed'): Promise<Written> {
  const room = new MemoryRoom();
  await room.open();
  const ends = [{ offset: SEGMENT_HEAD_BYTES, count: 0 }];
  for (const size of sizes) {
    const { count } = ends.at(-1) as { count: number };
    await room.append(records(count + 1, size, 30));
    ends.push({ offset: (room.disk.files().get(SEGMENT) as Buffer).length, count: count + size });
  }
  if (ending === 'closed') await room.log.close();
  return { files: room.disk.files(), ends, boot: room.disk.bootName };
}

function withSegment(files: ReadonlyMap<string, Buffer>, bytes: Buffer): ReadonlyMap<string, Buffer> {
  return new Map([...files, [SEGMENT, bytes]]);
}

test('cut at any byte, the log opens with every batch before the cut, whole, and none after it', async () => {
  const { files, ends } = await written([3, 1, 8, 2]);
  const bytes = files.get(SEGMENT) as Buffer;
  for (let cut = SEGMENT_HEAD_BYTES; cut <= bytes.length; cut++) {
    const room = new MemoryRoom(withSegment(files, bytes.subarray(0, cut)));
    const log = await room.open();
    const whole = ends.findLast(({ offset }) => offset <= cut) as (typeof ends)[number];
    assert.deepEqual(await room.rids(), rids(1, whole.count), `cut at ${cut}`);
    const torn = cut - whole.offset;
    assert.deepEqual(room.events, torn === 0 ? [] : [{ event: 'torn_write', file: SEGMENT, bytes: torn }]);
    assert.deepEqual(await room.append(records(whole.count + 1, 2)), ['stored', 'stored']);
    await log.close();
    await room.open();
    assert.deepEqual(await room.rids(), rids(1, whole.count + 2), `cut at ${cut}, opened again`);
  }
});

test('with the rest of the last write never arrived but its length, the last batch is cut', async () => {
  const { files, ends } = await written([3, 8]);
  const bytes = files.get(SEGMENT) as Buffer;
  const start = ends[1]?.offset as number;
  for (let cut = start; cut < bytes.length; cut++) {
    const zeroed = Buffer.concat([bytes.subarray(0, cut), Buffer.alloc(bytes.length - cut)]);
    const room = new MemoryRoom(withSegment(files, zeroed));
    await room.open();
    assert.deepEqual(await room.rids(), rids(1, 3), `zeroes from ${cut}`);
  }
});

test('with any byte changed before the last batch, the log says file and offset and does not open', async () => {
  const { files, ends } = await written([3, 1, 2, 2]);
  const bytes = files.get(SEGMENT) as Buffer;
  const last = ends.at(-2)?.offset as number;
  for (let at = 0; at < last; at++) {
    const changed = Buffer.from(bytes);
    changed[at] = (changed[at] as number) ^ 0x20;
    const room = new MemoryRoom(withSegment(files, changed));
    const error: unknown = await room.open().then(
      () => undefined,
      (failed: unknown) => failed,
    );
    assert.ok(error instanceof LogDamagedError, `byte ${at}: ${String(error)}`);
    assert.equal(error.file, SEGMENT);
    const batch = ends.findLast(({ offset }) => offset <= at)?.offset ?? 0;
    assert.ok(error.offset >= batch && error.offset <= at, `byte ${at} was called ${error.offset}`);
    assert.match(error.message, /tideway log check/);
    assert.deepEqual(room.disk.files().get(SEGMENT), changed, 'nothing was changed');
    room.disk.kill();
    assert.equal((await checkLog(FOLDER, room.disk.boot().disk)).problems.length, 1);
  }
});

test('with any byte of the last batch changed and the power cut since, what stands before it is whole', async () => {
  const { files, ends } = await written([3, 1, 4]);
  const bytes = files.get(SEGMENT) as Buffer;
  for (let at = ends[2]?.offset as number; at < bytes.length; at++) {
    const changed = Buffer.from(bytes);
    changed[at] = (changed[at] as number) ^ 0x20;
    const room = new MemoryRoom(withSegment(files, changed));
    await room.open();
    assert.deepEqual(await room.rids(), rids(1, 4), `byte ${at}`);
    assert.equal(room.events[0]?.event, 'torn_write');
  }
});

/** Opens a folder with this segment and expects damage at an offset; nothing is changed, and the check says the same. */
async function expectDamage(room: MemoryRoom, isThere: (offset: number) => boolean, message: string): Promise<void> {
  const before = room.disk.files().get(SEGMENT);
  const error: unknown = await room.open().then(
    () => undefined,
    (failed: unknown) => failed,
  );
  assert.ok(error instanceof LogDamagedError, `${message}: ${String(error)}`);
  assert.equal(error.file, SEGMENT);
  assert.ok(isThere(error.offset), `${message} was called ${error.offset}`);
  assert.deepEqual(room.disk.files().get(SEGMENT), before, 'nothing was changed');
  room.disk.kill();
  const { problems, torn } = await checkLog(FOLDER, room.disk.boot().disk);
  assert.deepEqual(
    problems.map(({ offset }) => offset),
    [error.offset],
  );
  assert.equal(torn, undefined);
}

for (const ending of ['killed', 'closed'] as const) {
  test(`with any byte of the last batch changed while the machine ran on, a log that was ${ending} says that it is damaged`, async () => {
    const { files, ends, boot } = await written([3, 1, 4], ending);
    const bytes = files.get(SEGMENT) as Buffer;
    const last = ends[2]?.offset as number;
    for (let at = last; at < bytes.length; at++) {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] as number) ^ 0x20;
      // A killed process leaves a beginning of its last write, and this is all of one.
      const room = new MemoryRoom(withSegment(files, changed), boot);
      await expectDamage(room, (offset) => offset >= last && offset <= at, `byte ${at}`);
    }
  });
}

test('killed while the machine ran on, a log opens with any beginning of its last write cut off', async () => {
  const { files, ends, boot } = await written([3, 8]);
  const bytes = files.get(SEGMENT) as Buffer;
  for (let cut = ends[1]?.offset as number; cut <= bytes.length; cut++) {
    const room = new MemoryRoom(withSegment(files, bytes.subarray(0, cut)), boot);
    await room.open();
    assert.deepEqual(await room.rids(), cut === bytes.length ? rids(1, 11) : rids(1, 3), `cut at ${cut}`);
  }
});

test('a log that was closed lacks nothing: cut at any byte, on whatever machine, it is damaged', async () => {
  const { files, boot } = await written([3, 1], 'closed');
  const bytes = files.get(SEGMENT) as Buffer;
  for (const machine of [boot, undefined]) {
    for (let cut = SEGMENT_HEAD_BYTES; cut < bytes.length; cut++) {
      const room = new MemoryRoom(withSegment(files, bytes.subarray(0, cut)), machine);
      await expectDamage(room, (offset) => offset <= cut, `cut at ${cut}`);
    }
  }
});

test('what was whole at the last start is damaged where it is not, also after the power was cut', async () => {
  const { files } = await written([3, 1], 'closed');
  const room = new MemoryRoom(files);
  await room.open();
  room.disk.cutPower();
  const bytes = Buffer.from(room.disk.files().get(SEGMENT) as Buffer);
  const at = bytes.length - 1;
  bytes[at] = (bytes[at] as number) ^ 1;
  room.disk.put(SEGMENT, bytes);
  await expectDamage(room, (offset) => offset <= at, 'the last byte');
});

test('what is noted about the end is believed only where it fits its checksum', async () => {
  const { files, boot } = await written([3, 1], 'closed');
  const path = `${FOLDER}/segments/known-end`;
  const bytes = files.get(SEGMENT) as Buffer;
  const noted = files.get(path) as Buffer;
  for (let at = 0; at < noted.length; at++) {
    const changed = Buffer.from(noted);
    changed[at] = (changed[at] as number) ^ 1;
    const room = new MemoryRoom(new Map([...withSegment(files, bytes.subarray(0, -1)), [path, changed]]), boot);
    await room.open();
    assert.deepEqual(await room.rids(), rids(1, 3), `byte ${at}`);
  }
});

test('bytes behind the last batch that no single write could have left are damage', async () => {
  const { files } = await written([3]);
  const room = new MemoryRoom(
    withSegment(files, Buffer.concat([files.get(SEGMENT) as Buffer, Buffer.alloc(20_000_000)])),
  );
  await assert.rejects(room.open(), LogDamagedError);
});

test('a payload that looks like a batch does not make a torn write look like damage', async () => {
  const { files, ends } = await written([3, 1]);
  const room = new MemoryRoom(files);
  await room.open();
  // The best forgery there is: batches of another log, whose salt is another.
  const other = (await written([9, 9])).files.get(SEGMENT) as Buffer;
  const [record] = records(5, 1);
  assert.ok(record !== undefined);
  await room.log.append([{ ...record, payload: other.subarray(SEGMENT_HEAD_BYTES) }]);
  await room.log.close();
  const torn = Buffer.from(room.disk.files().get(SEGMENT) as Buffer);
  const start = ends.at(-1)?.offset ?? 0;
  torn.fill(0, start, start + BATCH_HEAD_BYTES);
  const again = new MemoryRoom(withSegment(files, torn));
  await again.open();
  assert.deepEqual(await again.rids(), rids(1, 4));
});

/** Several sealed segments and one that is written. */
async function segments(): Promise<{ files: Map<string, Buffer>; names: readonly string[] }> {
  const room = new MemoryRoom();
  await room.open({ segmentBytes: 1_000 });
  for (let n = 0; n < 30; n++) await room.append(records(n * 2 + 1, 2, 50));
  await room.log.close();
  const files = new Map(room.disk.files());
  const names = [...files.keys()].filter((path) => path.endsWith('.seg')).sort();
  assert.ok(names.length >= 4);
  return { files, names };
}

test('a sealed segment that is damaged is found when it is read, and by the check: it is never skipped', async () => {
  const { files, names } = await segments();
  const path = names[1] as string;
  const bytes = files.get(path) as Buffer;
  for (const at of [SEGMENT_HEAD_BYTES, SEGMENT_HEAD_BYTES + BATCH_HEAD_BYTES + 20, bytes.length - 1]) {
    const changed = Buffer.from(bytes);
    changed[at] = (changed[at] as number) ^ 1;
    const room = new MemoryRoom(new Map([...files, [path, changed]]));
    const log = await room.open();
    const error: unknown = await readAll(log).then(
      () => undefined,
      (failed: unknown) => failed,
    );
    assert.ok(error instanceof Error);
    assert.match(error.message, new RegExp(`${basename(path)} is damaged at byte`));
    await log.close();
    const { problems } = await checkLog(FOLDER, room.disk.boot().disk);
    assert.deepEqual(
      problems.map(({ file }) => file),
      [path],
    );
  }
});

test('a sealed segment that is cut, missing, of another log or under another name keeps the log from opening', async () => {
  const { files, names } = await segments();
  const [first, second, third] = names as [string, string, string];
  const bytes = files.get(second) as Buffer;
  const foreign = (await segments()).files.get(second) as Buffer;
  const damages: readonly [string, (room: MemoryRoom) => void, RegExp][] = [
    ['cut', (room) => room.disk.put(second, bytes.subarray(0, -1)), /the file ends here, but \d+ bytes were written/],
    ['missing', (room) => room.disk.drop(second), /the segment before it, .* is missing/],
    ['foreign', (room) => room.disk.put(second, foreign), /it belongs to another log: epoch/],
    ['renamed', (room) => room.disk.put(second, files.get(third) as Buffer), /it begins at record \d+, not \d+/],
    ['no segment', (room) => room.disk.put(second, Buffer.from('hello')), /a segment's head has/],
    ['other file', (room) => room.disk.put(second, Buffer.alloc(100, 'x')), /not a segment file/],
    ['the last one', (room) => room.disk.drop(names.at(-1) as string), /it is missing/],
    ['all missing', (room) => names.forEach((name) => room.disk.drop(name)), /not one segment/],
  ];
  for (const [name, damage, message] of damages) {
    const room = new MemoryRoom(files);
    damage(room);
    await assert.rejects(room.open(), (error: Error) => {
      assert.ok(error instanceof LogDamagedError, name);
      assert.match(error.message, message);
      return true;
    });
    room.disk.kill();
    const { problems } = await checkLog(FOLDER, room.disk.boot().disk);
    assert.ok(problems.length > 0, name);
  }
  const room = new MemoryRoom(files);
  room.disk.drop(first);
  const log = await room.open();
  assert.equal((await log.bounds(0)).fromGenesis, false, 'without its oldest segments a log is one that was trimmed');
  await log.close();
});

test('a segment or a folder of a newer format is refused with both numbers', async () => {
  const { files, names } = await segments();
  const newer = Buffer.from(files.get(names[2] as string) as Buffer);
  newer.writeUInt16BE(9, 8);
  await assert.rejects(
    new MemoryRoom(new Map([...files, [names[2] as string, newer]])).open(),
    /format 9 by a newer Tideway; this one reads up to 1/,
  );
  const constants = Buffer.from('{"format":3,"anything":"else"}');
  await assert.rejects(
    new MemoryRoom(new Map([...files, [`${FOLDER}/log.json`, constants]])).open(),
    /format 3 by a newer Tideway; this one reads up to format 1/,
  );
});

test('constants that are damaged, missing or other than configured are refused; the same ones are not', async () => {
  const { files } = await segments();
  const path = `${FOLDER}/log.json`;
  for (const text of [
    '',
    '{"format":1',
    '[]',
    '{"format":1,"epoch":"toolong1","window":5}',
    '{"format":1,"epoch":"abc123"}',
  ]) {
    await assert.rejects(
      new MemoryRoom(new Map([...files, [path, Buffer.from(text)]])).open(),
      /log\.json is damaged/,
      text,
    );
  }
  const without = new Map(files);
  without.delete(path);
  await assert.rejects(new MemoryRoom(without).open(), /it is missing, but .* holds records/);
  await assert.rejects(new MemoryRoom(files).open({ window: 5 }), /made with a window of 1048576 records; .* with 5/);
  await new MemoryRoom(files).open({ window: 1_048_576 });
  await assert.rejects(new MemoryRoom().open({ window: 0 }), /window must be a whole number/);
});

test('a folder restored from an older copy says diverged to whoever is ahead of it, never nothing', async () => {
  const room = new MemoryRoom();
  await room.open();
  await room.append(records(1, 10));
  const copy = room.disk.files();
  await room.append(records(11, 5));
  const ahead = (await readAll(room.log)).at(-1);
  assert.ok(ahead !== undefined);

  const restored = new MemoryRoom(copy);
  const log = await restored.open();
  const attach = (): Promise<unknown> => log.tail(0, ahead, () => undefined, assert.fail);
  await assert.rejects(attach(), { name: 'TailError', reason: 'diverged' });
  await restored.append(records(101, 10));
  await assert.rejects(attach(), { name: 'TailError', reason: 'diverged' });
});

test('an interrupted first start leaves nothing that the next one stumbles over', async () => {
  for (let last = 0; last < 12; last++) {
    const room = new MemoryRoom();
    let calls = 0;
    room.disk.onCall = () => (calls++ === last ? { fails: last % 2 === 0 ? 'kill' : 'power' } : undefined);
    const { disk, died } = room.disk.boot();
    await Promise.race([new EmbeddedLog({ folder: FOLDER, disk }).open(), died]);
    room.disk.onCall = undefined;
    await room.reopen();
    assert.deepEqual(await room.append(records(1, 1)), ['stored']);
  }
});
