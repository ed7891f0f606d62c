/** What a running view does when its folder is deleted or damaged under it: LevelDB on a real disk, appends going on. */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { EmbeddedLog, type EmbeddedLogOptions } from '../log/embedded/embedded-log.ts';
import { checkView } from './check.ts';
import { LevelStore } from './store-level.ts';
import { assertChained, instantEnv, Listener, movableEnv, Rig, waitFor } from './testing/view-rig.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

/** So small that the log soon asks for what is settled, and the view opens its store anew. */
const SMALL = { window: 50, segmentBytes: 64 * KIB, keepBytes: 512 * KIB };

/** More than LevelDB's write buffer (4 MiB): what was written before lies in a table, and a missing file is missed. */
const LARGE = 5 * MIB;

interface Scene {
  readonly rig: Rig;
  readonly folder: string;
  /** Appends so many bytes to `chat:busy`, and notes what was answered. */
  append(bytes: number): Promise<void>;
  appendUntil(what: string, isSo: () => boolean | Promise<boolean>): Promise<void>;
  readonly cursors: string[];
  readonly listener: Listener;
}

async function inScene(
  limits: Partial<EmbeddedLogOptions>,
  body: (scene: Scene) => Promise<void>,
  isWhole = true,
): Promise<void> {
  const root = await mkdtemp(join(tmpdir(), 'tideway-loss-'));
  const folder = join(root, 'view');
  try {
    const log = new EmbeddedLog({ folder: join(root, 'log'), window: 5_000, ...limits });
    const env = Object.assign(movableEnv(), { setTimer: instantEnv().setTimer });
    const rig = await Rig.open(new LevelStore(folder), { log, env });
    const listener = new Listener();
    const cursors: string[] = [];
    rig.view.follow('chat:busy', listener);
    const append = async (bytes: number): Promise<void> => {
      for (let done = 0; done < bytes; done += 24 * KIB) {
        // Random, so that it stays as large when LevelDB packs it.
        const record = (): { channel: string; payload: string } => ({
          channel: 'chat:busy',
          payload: JSON.stringify(Buffer.from(rig.constants.epochs[0] + randomText()).toString('base64')),
        });
        for (const verdict of await rig.append(record(), record(), record()))
          cursors.push((verdict as { cursor: string }).cursor);
      }
    };
    const appendUntil: Scene['appendUntil'] = async (what, isSo) => {
      await waitFor(what, async () => {
        // Opening anew is worth a small part of the time only, however long it took.
        env.monotonicOffsetMs += 60_000;
        await append(24 * KIB);
        return await isSo();
      });
    };
    await body({ rig, folder, append, appendUntil, cursors, listener });
    assert.deepEqual(
      listener.records.map(({ cursor }) => cursor),
      cursors,
      'a follower gets everything once',
    );
    assertChained(listener.records, `${rig.constants.epochs[0]}.0.zzzz`);
    if (isWhole) {
      assert.ok(!listener.heard.some((what) => what.startsWith('gap')), 'no gap where nothing was lost');
      assert.deepEqual(
        (await rig.readAll('chat:busy')).map(({ cursor }) => cursor),
        cursors,
      );
    }
    await waitFor('a flush', () => rig.view.flush());
    await rig.view.close();
    assert.deepEqual((await checkView(new LevelStore(folder))).problems, []);
    const again = await rig.reopen(new LevelStore(folder));
    const kept = (await again.readAll('chat:busy')).map(({ cursor }) => cursor);
    assert.deepEqual(kept, cursors.slice(cursors.length - kept.length));
    assert.ok(kept.length > 0 && (!isWhole || kept.length === cursors.length));
    await again.view.close();
    await log.close();
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}

function randomText(): string {
  return Array.from({ length: 600 }, () => Math.random().toString(36).slice(2)).join('');
}

async function eachFile(folder: string, isMeant: (name: string) => boolean, harm: (path: string) => Promise<void>) {
  const records = join(folder, 'records');
  const meant = (await readdir(records)).filter(isMeant);
  assert.ok(meant.length > 0);
  for (const name of meant) await harm(join(records, name));
}

const overwrite = async (path: string): Promise<void> =>
  writeFile(path, Buffer.alloc((await readFile(path)).length, 7));

const harms: Readonly<Record<string, (folder: string) => Promise<void>>> = {
  'the view’s folder': remove,
  'the store’s folder inside it': (folder) => remove(join(folder, 'records')),
};

/** The view may make a file in it meanwhile. */
async function remove(folder: string): Promise<void> {
  await rm(folder, { recursive: true, maxRetries: 50, retryDelay: 1 });
}

for (const [what, harm] of Object.entries(harms)) {
  test(`${what} is deleted while records are appended: answered, made anew, and readers get every page`, () =>
    inScene({}, async ({ rig, folder, append, appendUntil, cursors }) => {
      await append(LARGE / 2);
      await rig.append({ channel: 'chat:idle' });
      await rig.view.flush();
      await harm(folder);
      const reading = rig.readAll('chat:busy', undefined, 7);
      await append(LARGE);
      await appendUntil('the view made anew', () => rig.troubles.some(({ event }) => event === 'view_rebuilt'));
      await append(100 * KIB);
      const read = (await reading).map(({ cursor }) => cursor);
      assert.deepEqual(read, cursors.slice(0, read.length));
      assert.equal((await rig.readAll('chat:idle')).length, 1);
    }));
}

test('tables that are overwritten while records are appended are found by the next reader, who gets its page', () =>
  inScene({}, async ({ rig, folder, append, cursors }) => {
    await append(LARGE);
    await rig.view.flush();
    await eachFile(folder, (name) => name.endsWith('.ldb'), overwrite);
    const appending = append(1024 * KIB);
    const read = (await rig.readAllBackward('chat:busy', 9)).map(({ cursor }) => cursor);
    await appending;
    assert.deepEqual(read, cursors.slice(0, read.length));
    assert.deepEqual(
      rig.troubles.map(({ event }) => event),
      ['store_set_aside', 'view_rebuilt'],
    );
  }));

/** Harm that is met by who opens the store; and how much must lie in it before. */
const unreadable: Readonly<Record<string, { readonly bytes: number; harm(folder: string): Promise<void> }>> = {
  'a manifest that is overwritten': {
    bytes: LARGE,
    harm: (folder) => eachFile(folder, (name) => name.startsWith('MANIFEST'), overwrite),
  },
  'a store without its CURRENT file': {
    bytes: LARGE,
    harm: (folder) => eachFile(folder, (name) => name === 'CURRENT', rm),
  },
  'tables that are deleted': {
    bytes: LARGE,
    harm: (folder) => eachFile(folder, (name) => name.endsWith('.ldb'), rm),
  },
  'a write-ahead file with a hole': {
    bytes: MIB / 2,
    harm: (folder) => eachFile(folder, (name) => name.endsWith('.log'), overwriteHalf),
  },
};

for (const [what, { bytes, harm }] of Object.entries(unreadable)) {
  test(`${what} is met when the store is opened anew: the log lets go of nothing, and the view is made anew`, () =>
    inScene(
      { window: 50, segmentBytes: bytes / 4, keepBytes: bytes * 1.5 },
      async ({ rig, folder, append, appendUntil, cursors }) => {
        await append(bytes);
        await rig.append({ channel: 'chat:idle' });
        await rig.view.flush();
        await harm(folder);
        await appendUntil('the view made anew', () => rig.troubles.some(({ event }) => event === 'view_rebuilt'));
        // LevelDB may miss a table by itself while it compacts: then a write fails first, and it is opened anew for that.
        assert.ok(rig.troubles.some(({ event }) => event === 'store_set_aside'));
        assert.deepEqual(
          (await rig.readAll('chat:busy')).map(({ cursor }) => cursor),
          cursors,
          'nothing had left the log',
        );
        assert.equal((await rig.readAll('chat:idle')).length, 1);
      },
      false,
    ));
}

async function overwriteHalf(path: string): Promise<void> {
  const bytes = await readFile(path);
  await writeFile(path, bytes.fill(0, 0, Math.floor(bytes.length / 2)));
}

test('what only the deleted view had is said to be trimmed: to a follower by a gap, to a reader by its page', () =>
  inScene(
    SMALL,
    async ({ rig, folder, append, appendUntil, cursors }) => {
      const { log } = rig;
      const [idle] = await rig.fill('chat:idle', 1);
      const follower = new Listener();
      rig.view.follow('chat:idle', follower);
      const never = new Listener();
      rig.view.follow('chat:never', never);
      const neverWas = rig.view.state('chat:never').place;
      await append(1500 * KIB);
      await appendUntil('the log to let go', async () => !(await log.bounds(0)).fromGenesis);
      assert.equal((await rig.readAll('chat:busy')).length, cursors.length, 'the view has what the log let go of');
      const before = rig.view.state('chat:idle');
      await remove(folder);
      await append(900 * KIB);
      await appendUntil('the view made anew', () => rig.troubles.some(({ event }) => event === 'view_rebuilt'));

      const { head, floor } = rig.view.state('chat:idle');
      assert.equal(head, undefined);
      assert.ok(floor > before.place);
      assert.deepEqual(follower.heard, [`gap trimmed ${floor}`]);
      assert.deepEqual(never.heard, [`gap trimmed ${floor}`], 'nor is it known that nothing was appended there');
      assert.ok(neverWas < floor);
      const page = await rig.view.read('chat:idle', { after: idle as string, limit: 5, bytes: 9_999 });
      assert.deepEqual(page.records, []);
      assert.equal(page.trimmed, true);
      const busy = await rig.view.read('chat:busy', { after: cursors[0] as string, limit: 1, bytes: 1 });
      assert.equal(busy.trimmed, true);
      // What comes next follows what followers were told.
      await rig.fill('chat:idle', 1);
      await rig.fill('chat:never', 1);
      for (const { records } of [follower, never]) assertChained(records, floor);
    },
    false,
  ));
