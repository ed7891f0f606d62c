import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { codeBlocks } from '../../../../../scripts/documents/markdown.ts';
import { partitionOfChannel } from '../broker/native-record.ts';
import { numbers, PortRoom, Reader, records, redisTest, startServer, wantedConstants } from './testing/redis-room.ts';

const page = readFileSync(join(import.meta.dirname, '../../../../../docs/logs/redis.md'), 'utf8');
const commands = codeBlocks(page)
  .flatMap(({ code }) => code.split('\n'))
  .filter((line) => line.startsWith('redis-cli '));
const rights = codeBlocks(page)
  .find(({ code }) => code.startsWith('user app '))
  ?.code.trim();

redisTest('the commands of the page append a record and read it', async (t) => {
  const server = await startServer(t);
  const room = await PortRoom.open(t, server.url, 8);
  const partition = partitionOfChannel('chat:lobby', 8);
  const reader = new Reader();
  await room.port.follow(partition, 0, reader.events);
  const run = (command: string): string => {
    const here = command.replace('redis-cli', `redis-cli -p ${server.port}`);
    return execFileSync('sh', ['-c', here], { encoding: 'utf8' }).trim();
  };
  const [append, range, read, ...more] = commands as [string, string, string, ...string[]];
  assert.deepEqual(more, []);
  assert.equal(run(append), '0-1');
  await reader.count(1);
  assert.deepEqual(reader.records, [
    {
      number: 1,
      channel: 'chat:lobby',
      value: Buffer.from('{"text":"hello"}'),
      headers: new Map([['tideway-user', 'zoe']]),
    },
  ]);
  const entry = ['0-1', 'channel', 'chat:lobby', 'value', '{"text":"hello"}', 'tideway-user', 'zoe'];
  assert.deepEqual(run(range).split('\n'), entry);
  await room.store(records(41), partition);
  assert.equal(run(read).split('\n')[1], '0-42');
});

redisTest('a user with the rights of the page can do everything; only the settings are kept from him', async (t) => {
  const user = rights?.replace(/^user app /, '').replace('>password', '>pass');
  assert.ok(user !== undefined);
  const server = await startServer(t, { user });
  const url = `redis://app:pass@127.0.0.1:${server.port}/orders`;
  const room = await PortRoom.open(t, url, 2, { times: { answerMs: 2_000, probeMs: 50 } });
  const reader = new Reader();
  await room.port.follow(1, 0, reader.events);
  await room.store(records(300), 1);
  await room.store(records(300), 1);
  await reader.count(600);
  const heard = Promise.withResolvers<Buffer>();
  const stop = await room.port.onSignal('a', heard.resolve);
  room.port.signal('a', Buffer.from('1'));
  await heard.promise;
  stop();
  await room.port.trim(1, 10);
  assert.deepEqual(
    (await room.port.read(1, 10, 500)).map(({ number }) => number),
    numbers(11, 510),
  );
  await room.port.connect(wantedConstants());
  assert.match(room.port.declares.storedSurvives, /do not tell this user/);
  assert.equal((await room.port.bounds(1)).newest, 600);
  const denied = server.cli('ACL', 'LOG').split('\n');
  const reasons = denied.flatMap((line, n) => (line === 'object' ? [denied[n + 1]] : []));
  assert.deepEqual(new Set(reasons), new Set(['config|get']));
});
