import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { CliProcess, temporaryFolder, startServer as startProcess } from '../../src/cli/testing/cli-rig.ts';
import { slotsOf } from '../../src/service/group-state.ts';
import { assertPlacesOnlyGrow, DEADLINE, Handled, KEY, member, MemberProcess, startServer, Teller } from './rig.ts';

const CHANNELS = Array.from({ length: 40 }, (_, n) => `order:${n}`);

test('a member is killed while records flow: the other takes over, nothing is skipped, each channel in order', async (t) => {
  const { url } = await startServer(t);
  const handled = new Handled();
  const members = ['a', 'b'].map((by) => new MemberProcess(t, by, handled, { url, key: KEY })) as [
    MemberProcess,
    MemberProcess,
  ];
  await Promise.all(members.map(({ ready }) => ready));
  const teller = new Teller(url);
  const appending = teller.appendAll(CHANNELS, 60);
  await t.waitFor(() => {
    const by = handled.events.map((event) => event.by);
    assert.ok(by.filter((name) => name === 'a').length > 100 && by.includes('b'));
  }, DEADLINE);
  await members[0].kill('SIGKILL');
  await appending;
  await t.waitFor(() => assert.ok(handled.isComplete(CHANNELS.length, 60)), DEADLINE);
  handled.assertComplete(CHANNELS, 60);
  const states = await teller.states('stock');
  assertPlacesOnlyGrow(states);
  assert.equal(states.at(-1)?.members.length, 1);
  await members[1].kill('SIGTERM');
  assert.deepEqual((await teller.states('stock')).at(-1)?.members, [], 'ended cleanly, it leaves its group');
});

test('a member that is paused for longer than its lease loses its slots, and cannot write down what it does not own', async (t) => {
  const { url } = await startServer(t);
  const handled = new Handled();
  const paused = new MemberProcess(t, 'paused', handled, { url, key: KEY });
  await paused.ready;
  const teller = new Teller(url);
  const appending = teller.appendAll(CHANNELS, 40);
  await t.waitFor(() => assert.ok(handled.events.length > 100), DEADLINE);
  paused.child.kill('SIGSTOP');
  const other = member(t, 'other', handled, { url });
  await t.waitFor(() => assert.equal(other.slots.length, 64), DEADLINE);
  await appending;
  await t.waitFor(() => assert.ok(handled.isComplete(CHANNELS.length, 40)), DEADLINE);
  paused.child.kill('SIGCONT');
  // It finds that it was taken out, and comes back as any other would.
  await t.waitFor(() => assert.equal(other.slots.length, 32), DEADLINE);
  await teller.appendAll(
    CHANNELS.map((channel) => `${channel}b`),
    5,
  );
  await t.waitFor(() => assert.ok(handled.isComplete(CHANNELS.length, 45)), DEADLINE);
  handled.assertComplete(CHANNELS, 40);
  const states = await teller.states('stock');
  assertPlacesOnlyGrow(states);
  const alone = states.filter(({ members }) => members.length === 1 && members[0]?.id === other.id);
  assert.ok(alone.some((state) => slotsOf(state, other.id).length === 64));
});

test('the server is killed and started again in mid-flow: members go on where they were', async (t) => {
  const data = join(await temporaryFolder(t), 'data');
  const first = await startProcess(t, { data });
  const { url, port } = first;
  const handled = new Handled();
  const members = ['a', 'b'].map((by) => member(t, by, handled, { url, key: undefined as never }));
  await Promise.all(members.map(({ ready }) => ready));
  const teller = new Teller(url, null);
  const appending = teller.appendAll(CHANNELS, 30);
  await t.waitFor(() => assert.ok(handled.events.length > 200), DEADLINE);
  await first.process.end('SIGKILL');
  const second = new CliProcess(t, ['dev', '--port', String(port), '--data', data, '--json']);
  await second.line('stdout', /"event":"ready"/);
  await appending;
  await t.waitFor(() => assert.ok(handled.isComplete(CHANNELS.length, 30)), DEADLINE);
  handled.assertComplete(CHANNELS, 30);
  assertPlacesOnlyGrow(await teller.states('stock'));
});

test('a group on a server of several processes: whichever of them answers, nothing is skipped', async (t) => {
  const data = join(await temporaryFolder(t), 'data');
  const { url } = await startProcess(t, { data, args: ['--workers', '2'] });
  const handled = new Handled();
  const members = ['a', 'b'].map((by) => member(t, by, handled, { url, key: undefined as never }));
  await Promise.all(members.map(({ ready }) => ready));
  const teller = new Teller(url, null);
  await teller.appendAll(CHANNELS, 5);
  await t.waitFor(() => assert.ok(handled.isComplete(CHANNELS.length, 5)), DEADLINE);
  handled.assertComplete(CHANNELS, 5);
  assertPlacesOnlyGrow(await teller.states('stock'));
});
