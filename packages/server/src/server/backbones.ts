/** Opens the log and the view in front of it, and the pair in memory for namespaces that say `durable: false`. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Backbone, RemoteBackbone } from '../hub/backbone.ts';
import type { Commit, Log, NodeSignals } from '../log/log.ts';
import { createLog, isOnBroker, parseLogAddress } from '../log/registry.ts';
import type { ResolvedConfig } from '../ops/config.ts';
import { defaultRetention } from '../ops/config-namespaces.ts';
import type { Logger } from '../ops/logger.ts';
import { diskFreeBytes } from '../ops/metrics-process.ts';
import type { LogChange } from '../ops/observer.ts';
import type { ViewTrouble } from '../view/log-view.ts';
import { createPartitionedView } from '../view/partitioned-view.ts';
import { LevelStore } from '../view/store-level.ts';
import { MemoryStore } from '../view/store-memory.ts';
import type { Store } from '../view/store.ts';
import type { Retention, Verdict } from '../view/view.ts';
import { readKnownConstants, writeKnownConstants } from './known-constants.ts';

interface OpenBackbone extends Backbone {
  readonly partitions: number;
  close(): Promise<void>;
}

/** What a hub stands on. */
export interface Backbones {
  readonly durable: Backbone | RemoteBackbone;
  /** Of the durable one's log. */
  readonly partitions: number;
  /** Absent where the durable one has all namespaces. */
  readonly memory: Backbone | undefined;
  /** Absent where the log has one process only. */
  readonly signals: NodeSignals | undefined;
  close(): Promise<void>;
}

/** Told of what happens below the hub. */
export interface BackboneEvents {
  /** The log takes no records any more, or takes them again: all of it, or some partitions. */
  readonly onLog: (change: LogChange) => void;
  readonly onVerdict: (ticket: string, verdict: Verdict) => void;
  readonly onBroken: (concerns: (channel: string) => boolean) => void;
  readonly onViewTrouble: (trouble: ViewTrouble) => void;
  readonly onTrouble: (error: unknown) => void;
  /** A batch of the durable log was written. */
  readonly onCommit: (commit: Commit) => void;
  /** Records left a channel because its retention keeps no more. */
  readonly onTrimmed: (channel: string, records: number) => void;
}

/**
 * How far behind it a repeat may stand in a log with one writer, which looks ids up before it appends: only what is
 * queued together can be repeated. This is the embedded log's queue.
 */
const REPEAT_SPAN = 131_072;

/** The first question of whoever reads that the log is down. */
function roomLeft(folder: string | undefined): string {
  const bytes = folder === undefined ? Number.NaN : diskFreeBytes(folder);
  return Number.isNaN(bytes) ? '' : `; its disk has ${bytes} bytes left`;
}

export async function openBackbones(
  config: ResolvedConfig,
  logger: Logger,
  events: BackboneEvents,
): Promise<Backbones> {
  const retention = (namespace: string): Retention =>
    config.namespaces[namespace]?.retention ?? config.otherwise?.retention ?? defaultRetention;

  const address = parseLogAddress(config.log);
  const isShared = isOnBroker(address);
  // The views of a broker's log are this node's own; one of a log in memory ends with it.
  const viewsFolder = isShared && config.data !== undefined ? join(config.data, 'views') : undefined;
  if (viewsFolder !== undefined) await mkdir(viewsFolder, { recursive: true });
  const durableLog = await createLog(config.log, {
    onCommit: events.onCommit,
    embedded: { keepBytes: config.limits.logBytes },
    broker: {
      remembered: viewsFolder === undefined ? undefined : await readKnownConstants(viewsFolder),
      report({ event: state, health, ...more }) {
        events.onLog({ state, health, ...('error' in more && { message: more.error.message }) });
      },
    },
    report(event) {
      switch (event.event) {
        case 'torn_write':
          logger.log('log.repaired', { path: event.file, bytes: event.bytes });
          break;
        case 'write_failed':
          events.onLog({
            state: 'down',
            health: { partitions: 1, down: [0] },
            message: event.error.message + roomLeft(config.data),
          });
          break;
        case 'write_recovered':
          events.onLog({ state: 'up', health: { partitions: 1, down: [] } });
          break;
        case 'removal_failed':
          logger.log('log.removal_failed', { message: `an old segment could not be removed: ${event.error.message}` });
          break;
        default:
          event satisfies never;
      }
    },
  });
  const durable = await openOne(durableLog, storeOf, forerunStoreOf());
  try {
    const memory = await openOne(await createLog('memory:'), () => new MemoryStore());
    const close = async (): Promise<void> => {
      await memory.close();
      await durable.close();
    };
    return { durable, partitions: durable.partitions, memory, signals: durableLog.signals, close };
  } catch (error) {
    await durable.close();
    throw error;
  }

  function storeOf(partition: number): Store {
    if (viewsFolder !== undefined) return new LevelStore(join(viewsFolder, String(partition)));
    return address.driver === 'embedded' && config.data !== undefined
      ? new LevelStore(join(config.data, 'view'))
      : new MemoryStore();
  }

  /** A broker's log may be long, and the node is needed now. What lies on the disk beside the view is read fast enough. */
  function forerunStoreOf(): ((partition: number) => Store) | undefined {
    if (!isShared) return undefined;
    if (viewsFolder === undefined) return () => new MemoryStore();
    return (partition) => new LevelStore(join(viewsFolder, `${partition}-forerunner`));
  }

  async function openOne(
    log: Log,
    createStore: (partition: number) => Store,
    createForerunStore?: (partition: number) => Store,
  ): Promise<OpenBackbone> {
    const constants = await log.open();
    try {
      if (log === durableLog && viewsFolder !== undefined) await writeKnownConstants(viewsFolder, constants);
      const { env } = config;
      const view = await createPartitionedView({
        log,
        constants,
        createStore,
        createForerunStore,
        env,
        retention,
        onVerdict: events.onVerdict,
        onBroken: events.onBroken,
        onTrouble: events.onViewTrouble,
        onTrimmed: events.onTrimmed,
        ...(log === durableLog && isShared ? {} : { repeatSpan: REPEAT_SPAN }),
      });
      return {
        log,
        view,
        partitionOf: constants.partitionOf,
        partitions: constants.epochs.length,
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
