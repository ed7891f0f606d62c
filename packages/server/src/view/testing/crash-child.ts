/**
 * A process that appends through an embedded log and a view on disk until it is killed. Each line it prints is what a
 * client would have been told: written at once, so that what was said is known whenever it dies.
 */
import { writeSync } from 'node:fs';
import { join } from 'node:path';
import { nodeEnv } from '../../env.ts';
import { EmbeddedLog } from '../../log/embedded/embedded-log.ts';
import type { PhysicalRecord } from '../../log/log.ts';
import { createView } from '../log-view.ts';
import { LevelStore } from '../store-level.ts';
import type { Verdict } from '../view.ts';

/** What a record was answered. */
export interface Told {
  readonly channel: string;
  readonly rid: string;
  readonly kind: PhysicalRecord['kind'];
  readonly verdict: Verdict;
}

/** Small, so that segments are deleted, runs joined and channels trimmed within a second. */
export const crashLimits = { window: 2_000, segmentBytes: 64 * 1024, keepBytes: 512 * 1024, records: 200 };

if (import.meta.main) {
  const [folder, life] = process.argv.slice(2) as [string, string];
  const { window, segmentBytes, keepBytes, records } = crashLimits;
  const log = new EmbeddedLog({ folder: join(folder, 'log'), window, segmentBytes, keepBytes });
  const constants = await log.open();
  const verdicts = new Map<string, Verdict>();
  const view = await createView({
    log,
    constants,
    store: new LevelStore(join(folder, 'view')),
    env: nodeEnv,
    retention: () => ({ records }),
    onVerdict: (ticket, verdict) => verdicts.set(ticket, verdict),
    onTrouble: ({ message }) => writeSync(2, `${message}\n`),
  });
  writeSync(1, `ready ${view.applied('')}\n`);

  let serial = 0;
  let last: PhysicalRecord | undefined;
  const dice = (sides: number): number => Math.floor((nodeEnv.randomBytes(2)[0] as number) / (256 / sides));
  async function appendSome(): Promise<void> {
    const batch = Array.from({ length: 1 + dice(40) }, (): PhysicalRecord => {
      const ticket = `${life}.${++serial}`;
      if (last !== undefined && dice(16) === 0) return { ...last, ticket };
      const kind = dice(128) === 0 && dice(4) === 0 ? 'trim' : 'data';
      const channel = dice(2) === 0 ? 'chat:busy' : `chat:${dice(32)}`;
      const payload = Buffer.from(kind === 'data' ? `"${'x'.repeat(dice(200))}"` : '');
      const record: PhysicalRecord = {
        channel,
        kind,
        encoding: 'json',
        time: Date.now(),
        rid: ticket,
        payload,
        ticket,
      };
      if (kind === 'data') last = record;
      return record;
    });
    const outcomes = await log.append(batch);
    const lines = batch.flatMap(({ channel, kind, rid, ticket }, i) => {
      const verdict = verdicts.get(ticket as string);
      if (outcomes[i]?.state !== 'stored' || verdict === undefined) return [];
      verdicts.delete(ticket as string);
      const told: Told = { channel, rid: rid as string, kind, verdict };
      return [`${JSON.stringify(told)}\n`];
    });
    if (lines.length > 0) writeSync(1, lines.join(''));
  }
  for (;;) await Promise.all([appendSome(), appendSome(), appendSome()]);
}
