/** Opens the log and the view in front of it, and the pair in memory for namespaces that say `durable: false`. */
import { join } from 'node:path';
import type { Backbone } from '../hub/hub.ts';
import type { Log } from '../log/log.ts';
import { createLog, parseLogAddress } from '../log/registry.ts';
import type { ResolvedConfig } from '../ops/config.ts';
import { defaultRetention } from '../ops/config-namespaces.ts';
import type { Logger } from '../ops/logger.ts';
import { createView, type LogView, type ViewTrouble } from '../view/log-view.ts';
import { LevelStore } from '../view/store-level.ts';
import { MemoryStore } from '../view/store-memory.ts';
import type { Retention, Verdict } from '../view/view.ts';

export interface OpenBackbone extends Backbone {
  readonly view: LogView;
  close(): Promise<void>;
}

export interface Backbones {
  readonly durable: OpenBackbone;
  readonly memory: OpenBackbone;
}

/**
 * How far behind it a repeat may stand: both logs have one writer, which looks ids up before it appends, so only what is
 * queued together can be repeated. This is the embedded log's queue.
 */
const REPEAT_SPAN = 131_072;

export async function openBackbones(parts: {
  readonly config: ResolvedConfig;
  readonly logger: Logger;
  /** The log takes no records any more, or takes them again. */
  readonly onLog: (state: 'down' | 'up') => void;
  readonly onVerdict: (ticket: string, verdict: Verdict) => void;
  readonly onTrouble: (trouble: ViewTrouble) => void;
}): Promise<Backbones> {
  const { config, logger } = parts;
  const retention = (namespace: string): Retention =>
    config.namespaces[namespace]?.retention ?? config.otherwise?.retention ?? defaultRetention;

  const durableLog = await createLog(config.log, {
    embedded: { keepBytes: config.limits.logBytes },
    report(event) {
      switch (event.event) {
        case 'torn_write':
          logger.log('log.repaired', { path: event.file, bytes: event.bytes });
          break;
        case 'write_failed':
          parts.onLog('down');
          logger.log('log.down', { message: event.error.message });
          break;
        case 'write_recovered':
          parts.onLog('up');
          logger.log('log.up');
          break;
        case 'removal_failed':
          logger.log('log.removal_failed', { message: `an old segment could not be removed: ${event.error.message}` });
          break;
        default:
          event satisfies never;
      }
    },
  });
  const durable = await openOne(durableLog, async () =>
    parseLogAddress(config.log).driver === 'memory' || config.data === undefined
      ? new MemoryStore()
      : new LevelStore(join(config.data, 'view')),
  );
  try {
    const memory = await openOne(await createLog('memory:'), async () => new MemoryStore());
    return { durable, memory };
  } catch (error) {
    await durable.close();
    throw error;
  }

  async function openOne(log: Log, createStore: () => Promise<LevelStore | MemoryStore>): Promise<OpenBackbone> {
    const constants = await log.open();
    try {
      const store = await createStore();
      const { env } = config;
      const view = await createView({
        log,
        constants,
        store,
        env,
        retention,
        onVerdict: parts.onVerdict,
        onTrouble: parts.onTrouble,
        repeatSpan: REPEAT_SPAN,
      });
      return {
        log,
        view,
        async close() {
          await view.close();
          await log.close();
        },
      };
    } catch (error) {
      await log.close();
      throw error;
    }
  }
}
