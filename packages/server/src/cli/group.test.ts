import assert from 'node:assert/strict';
import { test } from 'node:test';
import { consume } from '../service/service.ts';
import { exitCodes } from './exit-codes.ts';
import { runCli, runHere, startServer, temporaryFolder } from './testing/cli-rig.ts';

test('group shows members, their slots and how far behind they are, while they work and when nobody does', async (t) => {
  const { url, environment } = await startServer(t, { data: await temporaryFolder(t) });
  const append = (data: string) => runCli(t, ['append', 'order:1', data], { environment });
  const none = await runHere(['group', 'stock'], { environment });
  assert.equal(none.exitCode, exitCodes.failed);
  assert.match(none.stderr, /there is no group in group:stock: nobody has joined it/);

  await append('1');
  const seen: unknown[] = [];
  const consumer = consume({ url, group: 'stock', channels: ['order:*'], handle: ({ data }) => void seen.push(data) });
  t.after(() => consumer.close());
  await consumer.ready;
  await t.waitFor(() => assert.deepEqual([seen.length, consumer.lag], [1, 0]), { timeout: 60_000 });
  const shown = await runHere(['group', 'stock'], { environment });
  assert.equal(shown.exitCode, exitCodes.ok, shown.stderr);
  const [head, member, ...more] = shown.stdout.trim().split('\n');
  assert.match(head ?? '', /^group stock reads order:\*: 1 members, \d+ behind$/);
  assert.match(member ?? '', new RegExp(`^${consumer.id}  64 slots  \\d+ behind$`));
  assert.deepEqual(more, []);

  await consumer.close();
  await append('2');
  await append('3');
  const json = await runHere(['group', 'stock', '--json'], { environment });
  const { channels, members, free, lag } = JSON.parse(json.stdout) as Record<string, unknown> & {
    free: { slots: unknown[]; lag: number };
  };
  assert.deepEqual([channels, members, free.slots.length, free.lag], [['order:*'], [], 64, lag]);
  assert.ok(Number(lag) >= 2);
});
