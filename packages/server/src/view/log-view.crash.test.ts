/** Many lives that end with `kill -9`: what was told to anybody is there, once and in order, after each of them. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { nodeEnv } from '../env.ts';
import { EmbeddedLog } from '../log/embedded/embedded-log.ts';
import { checkView } from './check.ts';
import { frameParts, readRecordHeader } from './frame.ts';
import { LevelStore } from './store-level.ts';
import { MemoryStore } from './store-memory.ts';
import type { Store } from './store.ts';
import { crashLimits, type Told } from './testing/crash-child.ts';
import { Rig } from './testing/view-rig.ts';
import type { VisibleRecord } from './view.ts';

const LIVES = Number(process.env['TIDEWAY_CRASHES'] ?? 8);

/** One life: killed in the middle of what it does. Returns what it told. */
async function live(folder: string, life: number): Promise<Told[]> {
  const child = spawn(
    process.execPath,
    ['--conditions=tideway-source', join(import.meta.dirname, 'testing/crash-child.ts'), folder, `life${life}`],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const told: Told[] = [];
  const enough = 500 + Math.floor((nodeEnv.randomBytes(1)[0] as number) * 12);
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  let isReady = false;
  for await (const line of createInterface({ input: child.stdout })) {
    if (line.startsWith('ready')) isReady = true;
    // A line that the kill cut off was told to nobody.
    else if (line.endsWith('}}')) told.push(JSON.parse(line) as Told);
    if (told.length >= enough) child.kill('SIGKILL');
  }
  await ended;
  assert.ok(isReady, 'the child came up');
  return told;
}

async function withView<T>(folder: string, store: Store, look: (rig: Rig) => Promise<T>): Promise<T> {
  const { window, segmentBytes } = crashLimits;
  const log = new EmbeddedLog({ folder: join(folder, 'log'), window, segmentBytes });
  const rig = await Rig.open(store, { log });
  try {
    return await look(rig);
  } finally {
    await rig.view.close();
    await log.close();
  }
}

function ridsOf(records: readonly VisibleRecord[]): string[] {
  return records.map((record) => readRecordHeader(frameParts(record.frame).header).rid as string);
}

test('killed again and again: everything told is there once and in order, the chain holds, the log says the same', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'tideway-crash-'));
  /** By rid: the cursor its record was told, by channel in the order of the log. */
  const told = new Map<string, { readonly channel: string; readonly cursor: string }>();
  const trims = new Map<string, string>();
  const seen = { duplicates: 0, trimmedByRetention: 0, trims: 0 };
  try {
    for (let life = 1; life <= LIVES; life++) {
      for (const { channel, rid, kind, verdict } of await live(folder, life)) {
        const first = verdict.state === 'duplicate' ? verdict.first : verdict;
        if (verdict.state === 'duplicate') seen.duplicates++;
        if (kind === 'trim') {
          assert.equal(first.state, 'control');
          trims.set(channel, (first as { cursor: string }).cursor);
          seen.trims++;
          continue;
        }
        assert.equal(first.state, 'visible');
        const { cursor } = first as { cursor: string };
        assert.equal(told.get(rid)?.cursor ?? cursor, cursor, `${rid} was told two places`);
        told.set(rid, { channel, cursor });
      }
      assert.deepEqual((await checkView(new LevelStore(join(folder, 'view')))).problems, []);
      const byChannel = Map.groupBy(told, ([, { channel }]) => channel);
      const records = await withView(folder, new LevelStore(join(folder, 'view')), async (rig) => {
        const all = new Map<string, VisibleRecord[]>();
        for (const [channel, entries] of byChannel) {
          const { floor } = rig.view.state(channel);
          const held = await rig.readAll(channel);
          const rids = ridsOf(held);
          assert.equal(new Set(rids).size, rids.length, `${channel}: no record twice`);
          const places = new Map(held.map((record, i) => [rids[i] as string, record.cursor]));
          for (const [rid, { cursor }] of entries) {
            if (cursor > floor) assert.equal(places.get(rid), cursor, `life ${life}: ${rid} of ${channel}`);
            else if (floor > (trims.get(channel) ?? '')) seen.trimmedByRetention++;
          }
          if (trims.has(channel)) assert.ok(floor >= (trims.get(channel) as string), `${channel}: a trim holds`);
          assert.deepEqual(await rig.readAllBackward(channel), held);
          all.set(channel, held);
        }
        return all;
      });
      await withView(folder, new MemoryStore(), async (rig) => {
        for (const [channel, held] of records) {
          const { floor } = rig.view.state(channel);
          const fresh = await rig.readAll(channel);
          const from = held[0]?.cursor ?? '~';
          assert.deepEqual(
            fresh.filter((record) => record.cursor >= from).map((record) => record.cursor),
            held.filter((record) => record.cursor > floor).map((record) => record.cursor),
            `life ${life}: ${channel} from the log alone`,
          );
        }
      });
    }
    assert.ok(told.size > LIVES * 400);
    assert.ok(seen.duplicates > 0 && seen.trims > 0 && seen.trimmedByRetention > 0, JSON.stringify(seen));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
