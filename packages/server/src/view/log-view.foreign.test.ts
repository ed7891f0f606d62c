/** What a log does under a view that a log of this process never does: it lets go of records while the view begins. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodePositionNumber } from '@tideway/protocol';
import { TailError, type PhysicalRecord, type TailRecord } from '../log/log.ts';
import { recordTag } from '../log/record.ts';
import type { ViewTrouble } from './log-view.ts';
import { MemoryStore } from './store-memory.ts';
import { GivenLog } from './testing/given-log.ts';
import { instantEnv, Rig, waitFor } from './testing/view-rig.ts';

const EPOCH = 'epochA';

/** Records at the positions from `from` on, one of each channel after the other. */
function recordsAt(from: number, count: number, channels: readonly string[], text = ''): TailRecord[] {
  return Array.from({ length: count }, (_, i): TailRecord => {
    const record: PhysicalRecord = {
      channel: channels[i % channels.length] as string,
      kind: 'data',
      encoding: 'json',
      payload: Buffer.from(`"${text}${from + i}"`),
      time: 1_700_000_000_000 + from + i,
    };
    return { position: encodePositionNumber(from + i), tag: recordTag(record), record };
  });
}

function positionOf(number: number): string {
  return encodePositionNumber(number);
}

test('a log that lets go of records while a view begins: the view begins behind them', async () => {
  const log = new GivenLog({ epoch: EPOCH, window: 10 });
  log.give(recordsAt(1, 100, ['chat:1', 'chat:2']));
  log.onBounds = () => log.trim(positionOf(50));
  const rig = await Rig.open(new MemoryStore(), { log, constants: log.constants });
  for (const channel of ['chat:1', 'chat:2', 'chat:none']) {
    const { floor } = rig.view.state(channel);
    assert.ok(floor >= `${EPOCH}.${positionOf(50)}`, `${channel} claims to hold everything above ${floor}`);
  }
  const page = await rig.view.read('chat:1', { after: `${EPOCH}.${positionOf(21)}.zzzz`, limit: 10, bytes: 9_999 });
  assert.equal(page.trimmed, true);
  assert.equal((await rig.readAll('chat:1')).length + (await rig.readAll('chat:2')).length, 40);
  await rig.view.close();
});

/** What is away when an empty view begins, by when it goes. */
const goings: Readonly<Record<string, (log: GivenLog) => void>> = {
  'before it is asked': (log) => log.leave(),
  'before it is followed': (log) => (log.onBounds = () => log.leave()),
  'while it is read': (log) => {
    log.beforeRead = (after) => {
      if (after > 0 && !log.isAway) log.leave();
      return undefined;
    };
  },
};
for (const [when, go] of Object.entries(goings)) {
  test(`a log that goes away ${when} is waited for by an empty view`, async () => {
    const log = new GivenLog({ epoch: EPOCH, window: 10, readRecords: 5 });
    log.give(recordsAt(1, 20, ['chat:1', 'chat:2']));
    go(log);
    const troubles: ViewTrouble[] = [];
    const opening = Rig.open(new MemoryStore(), {
      log,
      constants: log.constants,
      env: instantEnv(),
      onTrouble: (trouble) => troubles.push(trouble),
    });
    await Promise.race([opening, waitFor('it to try again', () => troubles.length > 1)]);
    assert.deepEqual([...new Set(troubles.map(({ event }) => event))], ['tail_ended']);
    log.beforeRead = undefined;
    log.isAway = false;
    const rig = await opening;
    assert.equal((await rig.readAll('chat:1')).length + (await rig.readAll('chat:2')).length, 20);
    await rig.view.close();
  });
}

test('an empty view does not wait for a log that is away until somebody acts', async () => {
  const log = new GivenLog({ epoch: EPOCH, window: 10 });
  log.isAway = true;
  let tries = 0;
  const bounds = log.bounds.bind(log);
  log.bounds = () => {
    if (++tries < 3) return bounds();
    return Promise.reject(new TailError('unavailable', 'the broker does not take this password', { isFinal: true }));
  };
  const opening = Rig.open(new MemoryStore(), { log, constants: log.constants, env: instantEnv() });
  await assert.rejects(opening, /does not take this password/);
  assert.equal(tries, 3);
});
