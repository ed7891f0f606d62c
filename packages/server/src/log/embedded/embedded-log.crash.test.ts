/** Many short lives of a log on a disk that fails, dies and loses power at any call: what must hold after each. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Random } from '@tideway/verifier/random';
import type { AppendOutcome, PhysicalRecord, TailRecord } from '../log.ts';
import { positionNumber, positionOf } from '../position.ts';
import { checkLog } from './check.ts';
import { EmbeddedLog, type EmbeddedLogEvent } from './embedded-log.ts';
import { MemoryDisk, type DiskFault } from './testing/memory-disk.ts';

const FOLDER = '/data';
const SEEDS = Number(process.env['TIDEWAY_SEEDS'] ?? 200);
const LIVES = 12;

const env = (random: () => number) => ({
  randomBytes: (count: number) => Uint8Array.from({ length: count }, () => Math.floor(random() * 256)),
  endOfTick: (callback: () => void) => void setImmediate(callback),
  monotonicMs: () => 0,
});

type Fate = 'stored' | 'refused' | 'unknown';

/** What writers were told and what the log then holds, over all lives of one disk. */
class Story {
  readonly random: () => number;
  readonly disk: MemoryDisk;
  /** Records in the order of their appends, each with what its writer was told; unanswered ones are unknown. */
  readonly fates: Fate[] = [];
  /** What the log held at the last look: the rid at each position. */
  held: ReadonlyMap<string, string | undefined> = new Map();
  epoch: string | undefined;
  /** What happened at all, so that a test that proves nothing is seen. */
  readonly seen = { stored: 0, refused: 0, unknownKept: 0, torn: 0, trimmed: 0 };

  constructor(seed: number) {
    const dice = new Random(seed);
    this.random = () => dice.fraction();
    this.disk = new MemoryDisk(this.random);
  }

  pick(below: number): number {
    return Math.floor(this.random() * below);
  }

  records(count: number): { readonly first: number; readonly records: PhysicalRecord[] } {
    const first = this.fates.length;
    const records = Array.from({ length: count }, (_, n): PhysicalRecord => {
      this.fates.push('unknown');
      const payload = Buffer.alloc(this.pick(this.random() < 0.05 ? 3_000 : 200), this.pick(256));
      return { channel: 'crash:1', kind: 'data', encoding: 'bytes', payload, time: first + n, rid: `r${first + n}` };
    });
    return { first, records };
  }

  learn(first: number, outcomes: readonly AppendOutcome[]): void {
    for (const [n, { state }] of outcomes.entries()) {
      this.fates[first + n] = state;
      if (state !== 'unknown') this.seen[state]++;
    }
  }
}

/** The faults of one life: some calls fail in some way, and one may be the last. */
function plan(story: Story): void {
  const { disk } = story;
  const lastCall = story.pick(120);
  const ending: DiskFault = { fails: story.random() < 0.5 ? 'kill' : 'power' };
  const sick = story.random() < 0.5 ? 0 : story.random() * 0.3;
  disk.capacityBytes = story.random() < 0.2 ? 2_000 + story.pick(30_000) : Number.POSITIVE_INFINITY;
  let calls = 0;
  disk.onCall = ({ what, bytes }) => {
    if (calls++ === lastCall) return ending;
    if (story.random() >= sick) return undefined;
    const code = story.random() < 0.5 ? 'ENOSPC' : 'EIO';
    if (what === 'write' && story.random() < 0.3) return { fails: 'short', bytes: story.pick(bytes) };
    const canSync = what === 'write' || what === 'truncate' || what === 'sync-folder';
    return canSync && story.random() < 0.5 ? { fails: 'sync', code: 'EIO' } : { fails: 'before', code };
  };
}

async function live(story: Story): Promise<void> {
  plan(story);
  const { disk, died } = story.disk.boot();
  const small = { window: 40, segmentBytes: 3_000, keepBytes: 12_000 };
  const log = new EmbeddedLog({ folder: FOLDER, disk, env: env(story.random), ...small });
  const life = async (): Promise<void> => {
    try {
      await log.open();
    } catch (error) {
      // A sick disk may keep the log from opening; it never makes it call itself damaged.
      assert.doesNotMatch(String(error), /damaged/);
      return;
    }
    const seen: TailRecord[] = [];
    await log
      .tail(
        0,
        'oldest',
        (batch) => void seen.push(...batch),
        () => undefined,
      )
      .catch(() => undefined);
    for (let n = 0; n < 30; n++) {
      const calls = Array.from({ length: 1 + story.pick(3) }, () => story.records(1 + story.pick(12)));
      const answers = calls.map(async ({ first, records }) => story.learn(first, await log.append(records)));
      if (story.random() < 0.7) await Promise.all(answers);
      if (log.wantsSettled && story.random() < 0.8) await log.settled(0, (await log.bounds(0)).newest);
    }
    await log.close();
  };
  await Promise.race([life(), died]);
  if (story.random() < 0.3) story.disk.cutPower();
  else story.disk.kill();
}

/** Opens the log on a disk that is well, and compares it with what writers were told. */
async function inspect(story: Story): Promise<void> {
  story.disk.onCall = undefined;
  story.disk.capacityBytes = Number.POSITIVE_INFINITY;
  const { disk } = story.disk.boot();
  const report = ({ event }: EmbeddedLogEvent): void => void (event === 'torn_write' && story.seen.torn++);
  const log = new EmbeddedLog({ folder: FOLDER, disk, env: env(story.random), segmentBytes: 3_000, report });
  const { epochs } = await log.open();
  if (story.fates.includes('stored')) assert.equal(epochs[0], story.epoch ?? epochs[0], 'the epoch stays');
  story.epoch = story.fates.includes('stored') ? epochs[0] : undefined;
  const bounds = await log.bounds(0);
  const seen: TailRecord[] = [];
  if (bounds.oldest < bounds.newest) {
    await new Promise<void>((resolve, reject) => {
      const take = (batch: readonly TailRecord[]): undefined => {
        seen.push(...batch);
        if (seen.at(-1)?.position === bounds.newest) resolve();
      };
      log.tail(0, 'oldest', take, reject).catch(reject);
    });
  }
  const { first, records } = story.records(1 + story.pick(3));
  story.learn(first, await log.append(records));
  await log.close();

  const numbers = seen.map(({ record }) => Number(record.rid?.slice(1)));
  for (const [n, number] of numbers.entries()) {
    assert.notEqual(story.fates[number], 'refused', `r${number} was refused and is there`);
    if (n > 0) assert.ok(number > (numbers[n - 1] as number), `r${number} stands behind r${numbers[n - 1]}`);
    assert.equal(seen[n]?.position, positionOf(positionNumber(bounds.oldest) + n + 1));
  }
  const there = new Set(numbers);
  const oldest = numbers[0] ?? Number.POSITIVE_INFINITY;
  for (const [number, fate] of story.fates.entries()) {
    const trimmed = !bounds.fromGenesis && number < oldest;
    if (number >= first) continue;
    assert.ok(fate !== 'stored' || there.has(number) || trimmed, `r${number} was acknowledged and is gone`);
  }
  // What one life has shown no later life takes back.
  const held = new Map(seen.map(({ position, record }) => [position, record.rid]));
  for (const [position, rid] of story.held) {
    if (position > bounds.oldest) assert.equal(held.get(position), rid, `what stood at position ${position}`);
  }
  story.held = held;
  story.seen.unknownKept += numbers.filter((number) => story.fates[number] === 'unknown').length;
  if (!bounds.fromGenesis) story.seen.trimmed++;
  assert.deepEqual((await checkLog(FOLDER, disk)).problems, []);
  story.disk.cutPower();
}

test('whatever the disk does and whenever the process dies: acknowledged is there, refused is not, order holds', async (t) => {
  const seen: Record<string, number> = {};
  for (let seed = 1; seed <= SEEDS; seed++) {
    const story = new Story(seed);
    for (let life = 0; life < LIVES; life++) {
      try {
        await live(story);
        await inspect(story);
      } catch (error) {
        throw new Error(`seed ${seed}, life ${life}: ${(error as Error).message}`, { cause: error });
      }
    }
    for (const [what, count] of Object.entries(story.seen)) seen[what] = (seen[what] ?? 0) + count;
  }
  t.diagnostic(`seen in ${SEEDS * LIVES} lives: ${JSON.stringify(seen)}`);
  for (const [what, count] of Object.entries(seen))
    assert.ok(count > SEEDS / 10, `too little to prove anything: ${count} ${what}`);
});
