import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test, type TestContext } from 'node:test';
import { isAlive } from '../leash.ts';
import { requireService } from '../services.ts';
import { kafka } from './kafka.ts';
import { nats } from './nats.ts';
import { rabbitmq } from './rabbitmq.ts';
import { redis } from './redis.ts';

const main = join(import.meta.dirname, 'main.ts');
const DEADLINE = { timeout: 60_000, interval: 50 };

/** The program that starts a broker, with its folders in one of the test's own. */
function start(t: TestContext, folder: string, kind: string): ChildProcess {
  const starter = spawn(process.execPath, ['--conditions=tideway-source', main, kind], {
    env: { ...process.env, TMPDIR: folder },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  t.after(() => starter.kill('SIGKILL'));
  return starter;
}

for (const kind of [redis, nats, rabbitmq, kafka]) {
  const title = `${kind.name}: a broker and its folder are gone when whoever started it was killed`;
  test(title, { timeout: 180_000 }, async (t) => {
    if (!requireService(t, kind.name, kind.missing() === undefined)) return;
    const folder = await mkdtemp(join(tmpdir(), 'tideway-leash-'));
    t.after(() => rm(folder, { recursive: true, force: true, maxRetries: 20 }));
    const starter = start(t, folder, kind.name);
    const [line] = (await once(createInterface({ input: starter.stdout! }), 'line')) as [string];
    const { event, pid } = JSON.parse(line) as { event: string; pid: number };
    assert.equal(event, 'ready', line);
    assert.ok(isAlive(pid));
    const before = await readdir(folder);
    assert.ok(
      before.some((name) => name.startsWith(`tideway-${kind.name}-`)),
      before.join(),
    );

    starter.kill('SIGKILL');
    await t.waitFor(() => assert.ok(!isAlive(pid), `process ${pid} lives on`), DEADLINE);
    await t.waitFor(async () => {
      const left = (await readdir(folder)).filter((name) => name.startsWith(`tideway-${kind.name}-`));
      assert.deepEqual(left, []);
    }, DEADLINE);
  });
}
