import assert from 'node:assert/strict';
import { test } from 'node:test';
import { redis } from '../../../../scripts/brokers/redis.ts';
import { exitCodes } from './exit-codes.ts';
import { CliProcess, temporaryFolder } from './testing/cli-rig.ts';

test('a node whose broker is away when it starts says so, goes on trying, and is ready once the broker is there', async (t) => {
  const missing = redis.missing();
  if (missing !== undefined) {
    assert.notEqual(process.env['TIDEWAY_REQUIRE_SERVICES'], '1', missing);
    return t.skip(missing);
  }
  const broker = await redis.start();
  t.after(() => broker.stop());
  await broker.kill();
  const args = ['dev', '--port', '0', '--data', await temporaryFolder(t), '--json', '--log', `${broker.url}/away`];
  const node = new CliProcess(t, args);
  assert.match(await node.line('stderr', /log\.down/), /ECONNREFUSED/);
  await broker.restart();
  assert.match(await node.line('stdout', /"event":"ready"/), /"url":"http/);
  assert.equal((await node.end('SIGTERM')).exitCode, exitCodes.ok);
});
