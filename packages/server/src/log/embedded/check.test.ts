import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkLog } from './check.ts';
import { FOLDER, MemoryRoom, records } from './testing/log-room.ts';

test('a whole folder: its constants, every segment with its records and bytes, no problem, nothing changed', async () => {
  const room = new MemoryRoom();
  const log = await room.open({ segmentBytes: 2_000, window: 1_000 });
  for (let n = 0; n < 10; n++) await room.append(records(n * 10 + 1, 10, 40));
  await log.close();
  const before = room.disk.files();
  room.disk.onCall = () => assert.fail('a check changes nothing');
  const check = await checkLog(FOLDER, room.disk.boot().disk);
  assert.deepEqual(check.problems, []);
  assert.equal(check.torn, undefined);
  assert.equal(check.window, 1_000);
  assert.match(check.epoch ?? '', /^[-0-9A-Z_a-z]{6}$/);
  assert.ok(check.segments.length > 2);
  assert.equal(
    check.segments.reduce((sum, segment) => sum + segment.records, 0),
    100,
  );
  assert.equal(
    check.segments.reduce((sum, segment) => sum + segment.batches, 0),
    10,
  );
  for (const { file, bytes } of check.segments) assert.equal(bytes, before.get(file)?.length);
});

test('a torn write is told apart from damage', async () => {
  const room = new MemoryRoom();
  await room.open();
  await room.append(records(1, 3));
  await room.append(records(4, 3));
  room.disk.kill();
  const [path, bytes] = [...room.disk.files()].find(([name]) => name.endsWith('.seg')) as [string, Buffer];
  room.disk.put(path, bytes.subarray(0, -1));
  const { torn, problems, segments } = await checkLog(FOLDER, room.disk.boot().disk);
  assert.deepEqual(problems, []);
  assert.equal(segments[0]?.records, 3);
  assert.deepEqual(torn, {
    file: path,
    offset: segments[0]?.bytes,
    bytes: bytes.length - 1 - (segments[0]?.bytes ?? 0),
  });
});

test('every problem is told, not only the first one', async () => {
  const room = new MemoryRoom();
  await room.open({ segmentBytes: 500 });
  for (let n = 0; n < 10; n++) await room.append(records(n * 5 + 1, 5, 40));
  await room.log.close();
  const paths = [...room.disk.files().keys()].filter((name) => name.endsWith('.seg')).sort();
  for (const n of [0, 2, 4]) {
    const bytes = room.disk.files().get(paths[n] as string) as Buffer;
    bytes[100] = (bytes[100] as number) ^ 1;
    room.disk.put(paths[n] as string, bytes);
  }
  const { problems } = await checkLog(FOLDER, room.disk.boot().disk);
  assert.deepEqual(
    problems.map(({ file }) => file),
    [0, 2, 4].map((n) => paths[n]),
  );
});

test('a folder without a log is said to hold none', async () => {
  const { problems } = await checkLog(FOLDER, new MemoryRoom().disk.boot().disk);
  assert.match(problems[0]?.problem ?? '', /there is no log in this folder/);
});

test('a folder that a server has open is not checked', async () => {
  const room = new MemoryRoom();
  await room.open();
  await assert.rejects(checkLog(FOLDER, room.disk.boot().disk), { name: 'FolderInUseError' });
});
