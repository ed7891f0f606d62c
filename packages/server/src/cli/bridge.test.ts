import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { redis } from '../../../../scripts/brokers/redis.ts';
import { bridgeTest } from '../bridge/testing/bridge-room.ts';
import { startServer as startRedis } from '../log/redis/testing/redis-room.ts';
import { exitCodes } from './exit-codes.ts';
import { CliProcess, runHere, startServer, temporaryFolder } from './testing/cli-rig.ts';

const flags = ['--from', 'redis://127.0.0.1:1/s', '--to', 'order:{header.id}', '--dead-letter', 'dead:orders'];

describe('bridge', () => {
  for (const [title, args, message] of [
    ['no channel', flags.slice(0, 2), /^error: --to: it is missing; a channel such as order:\{key\}, or the address/m],
    [
      'no dead letter channel',
      flags.slice(0, 4),
      /^error: --dead-letter: it is missing; a channel such as dead:orders/m,
    ],
    ['a name', [...flags, '--name', 'B!'], /^error: --name: "B!" is no name of a bridge/m],
    [
      'a word',
      [...flags, '--record-key', '{key}'],
      /^error: --record-key: "\{key\}" is not allowed; \{key\} is not known/m,
    ],
    ['no bridges at all', [], /^error: there are no bridges in tideway\.config\.ts\ntry: tideway bridge --from/m],
  ] as const) {
    test(`says what is wrong: ${title}`, async (t) => {
      const { exitCode, stderr } = await runHere(['bridge', ...args], { folder: await temporaryFolder(t) });
      assert.equal(exitCode, exitCodes.usage);
      assert.match(stderr, message);
    });
  }

  test('names the bridges that there are', async (t) => {
    const folder = await temporaryFolder(t);
    const bridge = { from: 'nats://h/a.>', to: 'a:{subject}', deadLetter: 'dead:a' };
    await writeFile(
      join(folder, 'tideway.config.mjs'),
      `export default ${JSON.stringify({ bridges: { one: bridge, two: bridge } })};`,
    );
    const { exitCode, stderr } = await runHere(['bridge', 'three'], { folder });
    assert.equal(exitCode, exitCodes.usage);
    assert.equal(stderr, 'error: there is no bridge "three"; there are: one, two\n');
  });

  test('waits for a server that is away, and ends when it is told to', async (t) => {
    const bridge = new CliProcess(t, ['bridge', ...flags, '--url', 'http://127.0.0.1:1']);
    await bridge.line(
      'stderr',
      /no server can be reached at http:\/\/127\.0\.0\.1:1 .*; it is tried again until it answers/,
    );
    assert.equal((await bridge.end('SIGTERM')).exitCode, exitCodes.ok);
  });

  test('waits for a broker that is away, says so to people, and ends when it is told to', async (t) => {
    const { environment } = await startServer(t, { data: await temporaryFolder(t) });
    const bridge = new CliProcess(t, ['bridge', ...flags], { environment });
    await bridge.line('stderr', /^bridge: waits for the broker and tries again: .*nothing listens there/);
    const { exitCode, stderr } = await bridge.end('SIGTERM');
    assert.equal(exitCode, exitCodes.ok);
    assert.match(stderr, /^bridge: ended: 0 stored, 0 dead letters$/m);
  });

  bridgeTest(redis, 'ends in words where the broker refuses the password, and never says it', async (t) => {
    const server = await startRedis(t, { password: 'right' });
    const { environment } = await startServer(t, { data: await temporaryFolder(t) });
    const from = `redis://:hunter2@127.0.0.1:${server.port}/s`;
    const bridge = new CliProcess(t, ['bridge', ...flags.slice(2)], {
      environment: { ...environment, TIDEWAY_BRIDGE_FROM: from },
    });
    const { exitCode, stderr } = await bridge.finished();
    assert.equal(exitCode, exitCodes.failed);
    assert.match(stderr, /^error: .*Redis refuses this user or password/m);
    assert.ok(!stderr.includes('hunter2'));
  });

  bridgeTest(redis, 'ends where the server does not take the key', async (t) => {
    const server = await startRedis(t);
    const { environment } = await startServer(t, { data: await temporaryFolder(t) });
    const bridge = new CliProcess(t, ['bridge', ...flags, '--from', `${server.url}/s`], {
      environment: { ...environment, TIDEWAY_TOKEN: 'tw_key_wrong' },
    });
    assert.equal((await bridge.finished()).exitCode, exitCodes.refused);
  });
});
