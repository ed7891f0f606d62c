/**
 * From the start of the process to `ready`, with 1,000,000 records of 200 bytes in 1,000 channels in its folder: from a
 * clone with the compile cache filled, after a clean stop and after a `kill -9` amid appends, and from the built package. Node alone
 * stands beside it as the floor.
 */
import { spawnSync } from 'node:child_process';
import { setTimeout as after } from 'node:timers/promises';
import type { Appender } from '../appender.ts';
import { missingCompiler } from '../floors/compile.ts';
import { processRssBytes } from '../proc.ts';
import type { Contender, Sample, Scenario } from '../scenario.ts';
import {
  missingTideway,
  newAppender,
  newDataFolder,
  removeDataFolder,
  startTideway,
  type Tideway,
} from '../tideway.ts';

const channels = 1_000;

function appenderFor(server: Tideway, records?: number): Appender {
  return newAppender(server.port, {
    channel: 'bench:start-',
    channels,
    connections: 10,
    payloadBytes: 200,
    pace: { window: 50 },
    ...(records === undefined ? {} : { records }),
  });
}

/** Kills a server that is writing as fast as it can: what follows must look at the end of its log. */
async function killAmidAppends(dataFolder: string): Promise<void> {
  const server = await startTideway({ dataFolder });
  const appender = appenderFor(server);
  await appender.ready();
  appender.go();
  await after(500);
  server.child.kill('SIGKILL');
  await Promise.all([server.child.ended, appender.stop()]);
}

async function fill(dataFolder: string, records: number): Promise<void> {
  const server = await startTideway({ dataFolder });
  const appender = appenderFor(server, records);
  try {
    await appender.ready();
    appender.go();
    await appender.done(600_000);
  } finally {
    await appender.stop();
    await server.stop();
  }
  // Once unmeasured: it fills the compile cache.
  await (await startTideway({ dataFolder })).stop();
}

function nodeAlone(): Sample {
  const startedMs = performance.now();
  spawnSync(process.execPath, ['-e', '0']);
  return { startMs: performance.now() - startedMs };
}

export const start: Scenario = {
  name: 'start',
  title: 'from the start of the process to ready, with 1,000,000 records',
  columns: ['startMs', 'rssMb', 'records'],
  async open(settings) {
    const missing = missingCompiler() ?? missingTideway();
    const records = settings.quick ? 50_000 : 1_000_000;
    const dataFolder = newDataFolder();
    let filled: Promise<void> | undefined;

    async function measure(how: { readonly packed?: boolean; readonly killedBefore?: boolean }): Promise<Sample> {
      if (!filled) {
        settings.progress(`appending ${records} records to start with`);
        filled = fill(dataFolder, records);
      }
      await filled;
      if (how.killedBefore) await killAmidAppends(dataFolder);
      const server = await startTideway({ dataFolder, packed: how.packed === true });
      const rssMb = processRssBytes(server.pid) / 1e6;
      await server.stop();
      return { startMs: server.startMs, rssMb, records };
    }

    const contenders: Contender[] = [
      { name: 'clone', missing, measure: () => measure({}) },
      { name: 'clone, killed before', missing, measure: () => measure({ killedBefore: true }) },
      { name: 'packed', missing: missing ?? missingTideway(true), measure: () => measure({ packed: true }) },
      { name: 'node alone', measure: async () => nodeAlone() },
    ];
    return {
      cases: [{ name: 'start', contenders }],
      async close() {
        removeDataFolder(dataFolder);
      },
    };
  },
};
