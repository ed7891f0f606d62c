/**
 * From channels to a broker: a consumer of a group writes each record of its channels, one after the other of a channel,
 * and goes on when the broker has stored it. What the broker will never take is a dead letter; everything else is tried
 * again for as long as it takes.
 */
import { nodeEnv, pause, type Env } from '../env.ts';
import { BrokerError } from '../log/broker/broker-port.ts';
import { toNative } from '../log/broker/native-record.ts';
import { serviceEnv } from '../service/env.ts';
import { consume, type ServiceGap, type ServiceRecord } from '../service/service.ts';
import { fetchTexts } from './feed-texts.ts';
import { backOffMs } from './patience.ts';
import { CURSOR_HEADER, type OpenSink, type Outgoing, SinkKeeper, Unwritable } from './sink.ts';
import type { Trouble } from './trouble.ts';

export interface OutboundOptions {
  readonly open: OpenSink;
  /** Where the records are read. */
  readonly url: string;
  readonly key: string | undefined;
  readonly group: string;
  readonly channels: readonly string[];
  readonly deadLetter: string;
  readonly brokerTrouble: Trouble;
  readonly nodeTrouble: Trouble;
  readonly onReady: () => void;
  readonly onWritten: () => void;
  readonly onDead: (record: ServiceRecord, why: string) => void;
  readonly onGap: (gap: ServiceGap) => void;
}

/** Records of so many channels are on their way at once. */
const CONCURRENCY = 64;
/** One more than is needed: the first failure may be that the bridge is told to end. */
const ATTEMPTS = 2;

/**
 * Runs until the signal is aborted, and finishes what is under way then.
 *
 * @throws BrokerError or TidewayError in words, where it cannot begin until somebody acts
 */
export async function runOutbound(options: OutboundOptions, signal: AbortSignal): Promise<void> {
  const { url, key, group, channels, deadLetter, nodeTrouble, brokerTrouble } = options;
  const keeper = new SinkKeeper(options.open);
  try {
    if (!(await untilOpen(keeper, brokerTrouble, signal))) return;
    const consumer = consume({
      ...{ url, group, channels, deadLetter, ...(key !== undefined && { key }) },
      concurrency: CONCURRENCY,
      retry: { attempts: ATTEMPTS, minMs: 1 },
      env: { ...serviceEnv, fetch: fetchTexts },
      handle: async (record, { signal: lost }) => {
        nodeTrouble.over();
        await write(keeper, outgoing(record), brokerTrouble, AbortSignal.any([signal, lost]));
        options.onWritten();
      },
      onDead: (record, error) => options.onDead(record, (error as Error).message),
      onGap: (gap) => options.onGap(gap),
      onError: (error) => nodeTrouble.set((error as Error).message),
    });
    const ended = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
    try {
      await Promise.race([consumer.ready, ended]);
      if (!signal.aborted) options.onReady();
      await ended;
    } finally {
      await consumer.close();
    }
  } finally {
    await keeper.close();
    brokerTrouble.stop();
    nodeTrouble.stop();
  }
}

/** False when the signal came first. */
async function untilOpen(keeper: SinkKeeper, trouble: Trouble, signal: AbortSignal): Promise<boolean> {
  for (let failures = 0; ; failures++) {
    try {
      await keeper.get();
      trouble.over();
      return true;
    } catch (error) {
      if (error instanceof BrokerError && error.isFinal) throw error;
      trouble.set((error as Error).message);
      if (!(await pause(nodeEnv, backOffMs(nodeEnv, failures), signal))) return false;
    }
  }
}

/** Resolves when it is stored; rejects where it never will be, or this bridge is not to write it any more. */
export async function write(
  keeper: Pick<SinkKeeper, 'put'>,
  record: Outgoing,
  trouble: Trouble,
  signal: AbortSignal,
  env: Env = nodeEnv,
): Promise<void> {
  for (let failures = 0; ; failures++) {
    try {
      await keeper.put(record);
      trouble.over();
      return;
    } catch (error) {
      if (error instanceof Unwritable) throw error;
      trouble.set((error as Error).message);
      if (!(await pause(env, backOffMs(env, failures), signal))) throw error;
    }
  }
}

/** The record as a native one (docs/logs), with its cursor besides. */
export function outgoing({ channel, cursor, time, user, rid, key, trace, data }: ServiceRecord): Outgoing {
  const isBytes = data instanceof Uint8Array;
  const payload = Buffer.from(isBytes ? data : String(data));
  const encoding = isBytes ? 'bytes' : 'json';
  const native = toNative({ channel, kind: 'data', encoding, payload, time, user, rid, key, trace });
  return { ...native, channel, id: cursor, headers: new Map([...native.headers, [CURSOR_HEADER, cursor]]) };
}
