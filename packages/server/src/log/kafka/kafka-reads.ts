/** Reading at a place, and the ends of a partition, always from the leader: another one is looked for until the deadline. */
import { performance } from 'node:perf_hooks';
import type { PortBounds, StoredRecord } from '../broker/broker-port.ts';
import { TailError } from '../log.ts';
import { positionOf } from '../position.ts';
import { ANSWER_MS, type KafkaCluster } from './kafka-cluster.ts';
import { codeText, faultCode, faults, faultText, KafkaFault, leaderFaults } from './kafka-fault.ts';
import { FETCH_BYTES, fetchOnce } from './kafka-fetch.ts';
import { decodeBatches, type BatchTools } from './record-batch.ts';

export interface ReadPlace {
  readonly topic: string;
  readonly topicId: string;
  readonly partition: number;
}

const PAUSE_MS = 50;
const PAGE_BYTES_MIN = 16 * 1024;
/** About what a header or a key takes. */
const HEADER_BYTES = 32;
const DELETE_MS = 3_000;
const EARLIEST = -2n;
const LATEST = -1n;
/** Reads of so many partitions go side by side. */
const CONNECTIONS = 4;

/** Learns how large records are, so that a page is fetched and not three of them. */
export class RecordSizes {
  #averageBytes = 512;

  bytesOf(records: number): number {
    return Math.min(FETCH_BYTES, Math.max(PAGE_BYTES_MIN, Math.ceil(records * this.#averageBytes * 1.1)));
  }

  learn(records: number, bytes: number): void {
    if (records > 0) this.#averageBytes += (bytes / records - this.#averageBytes) / 4;
  }
}

/** The records behind `after`: at most `limit`, about 1 MiB, and what is there. */
export async function readAfter(
  cluster: KafkaCluster,
  tools: BatchTools,
  place: ReadPlace,
  after: number,
  limit: number,
  sizes = new RecordSizes(),
): Promise<readonly StoredRecord[]> {
  const records: StoredRecord[] = [];
  let bytes = 0;
  let offset = after;
  // A fetch ends at the end of a segment file, too.
  while (records.length < limit && bytes < FETCH_BYTES) {
    const wanted = limit - records.length;
    const part = await fetchAt(cluster, place, offset, sizes.bytesOf(wanted));
    const more = decode(cluster, tools, place, part.batches, offset, wanted);
    sizes.learn(more.length, bytesOf(more));
    records.push(...more);
    bytes += part.batches.length;
    offset = more.at(-1)?.number ?? offset;
    if (more.length === 0 || offset >= part.highWatermark) break;
  }
  return records.length > limit ? records.slice(0, limit) : records;
}

/** The record with a number; `undefined` where it is trimmed or not there yet. */
export async function readAt(
  cluster: KafkaCluster,
  tools: BatchTools,
  place: ReadPlace,
  number: number,
): Promise<StoredRecord | undefined> {
  try {
    const { batches } = await fetchAt(cluster, place, number - 1, PAGE_BYTES_MIN);
    return decode(cluster, tools, place, batches, number - 1, 1)[0];
  } catch (error) {
    if (error instanceof TailError && (error.reason === 'trimmed' || error.reason === 'diverged')) return undefined;
    throw error;
  }
}

export async function readBounds(cluster: KafkaCluster, place: ReadPlace): Promise<PortBounds> {
  const [oldest, newest] = await Promise.all([offsetOf(cluster, place, EARLIEST), offsetOf(cluster, place, LATEST)]);
  // The offset of the first record held is the number of the last one gone.
  return { oldest, newest: Math.max(oldest, newest) };
}

/** Deletes up to a record, but nothing younger than `keepMs`, by the broker's clock: the time of the newest record is now. */
export async function deleteUpTo(
  cluster: KafkaCluster,
  tools: BatchTools,
  place: ReadPlace,
  upTo: number,
  keepMs: number,
): Promise<void> {
  let offset = upTo;
  if (keepMs > 0) {
    const { newest } = await readBounds(cluster, place);
    const time = (await readAt(cluster, tools, place, newest))?.brokerTime;
    if (time === undefined) return;
    const young = await offsetOf(cluster, place, BigInt(Math.max(0, time - keepMs)));
    if (young >= 0) offset = Math.min(offset, young);
  }
  const partitions = [{ partition: place.partition, partitionIndex: place.partition, offset: BigInt(offset) }];
  await fromLeader(cluster, place, (leader) =>
    cluster.call(leader, 'ask', (connection) =>
      cluster.kafka.deleteRecordsV2.api.async(connection, [{ name: place.topic, partitions }], DELETE_MS),
    ),
  );
}

async function fetchAt(
  cluster: KafkaCluster,
  place: ReadPlace,
  offset: number,
  bytesMax: number,
): Promise<{ readonly highWatermark: number; readonly batches: Buffer }> {
  const { topicId, partition } = place;
  return fromLeader(cluster, place, async (leader) => {
    const use = `read ${partition % CONNECTIONS}`;
    const [part] = await fetchOnce(cluster, leader, use, [{ topicId, partition, epoch: -1, offset, bytesMax }], 0);
    if (part === undefined) throw new Error('the broker answered without the partition');
    if (part.code === faults.offsetOutOfRange) throw await outOfRange(cluster, place, offset);
    if (part.code !== 0) throw new KafkaFault(part.code, codeText(cluster.kafka, part.code));
    return part;
  });
}

/** Why there is nothing at an offset. */
export async function outOfRange(cluster: KafkaCluster, place: ReadPlace, offset: number): Promise<TailError> {
  const { oldest, newest } = await readBounds(cluster, place);
  const where = `partition ${place.partition} of ${cluster.address.place}`;
  if (offset >= oldest) return new TailError('diverged', `${where} ends at ${newest}, before position ${offset}`);
  const message = `${where}: records after position ${offset} were deleted; the oldest kept follows ${oldest}`;
  return new TailError('trimmed', message, { oldest: positionOf(oldest) });
}

async function offsetOf(cluster: KafkaCluster, place: ReadPlace, timestamp: bigint): Promise<number> {
  return fromLeader(cluster, place, async (leader) => {
    const partitions = [{ partitionIndex: place.partition, currentLeaderEpoch: -1, timestamp }];
    const answer = await cluster.call(leader, 'ask', (connection) =>
      cluster.kafka.listOffsetsV7.api.async(connection, -1, 0, [{ name: place.topic, partitions }]),
    );
    return Number(answer.topics[0]?.partitions[0]?.offset ?? 0n);
  });
}

/** Asks the leader, and whoever is leader then, until one answers or the deadline is there. */
export async function fromLeader<T>(
  cluster: KafkaCluster,
  place: ReadPlace,
  ask: (leader: number) => Promise<T>,
): Promise<T> {
  const until = performance.now() + ANSWER_MS;
  for (;;) {
    const leader = cluster.leader(place.topic, place.partition)?.leader;
    let failed: unknown = new Error('no leader is known');
    try {
      if (leader !== undefined) return await ask(leader);
    } catch (error) {
      if (error instanceof TailError) throw error;
      const code = faultCode(error);
      const isOther = code === faults.topicIdUnknown || code === faults.topicIdOther;
      if (isOther && (await isAnother(cluster, place))) throw anotherTopic(cluster);
      // What the broker itself refuses, it refuses again; an answer that did not come may come from the next leader.
      if (code !== undefined && !isOther && !leaderFaults.has(code)) throw unavailable(cluster, place, error);
      failed = error;
    }
    if (cluster.ended !== undefined) throw unavailable(cluster, place, failed);
    const refreshed = cluster.refresh().catch(() => undefined);
    // One that hangs takes all of the time: whoever asks next finds its successor.
    if (performance.now() > until) throw unavailable(cluster, place, failed);
    await Promise.all([refreshed, new Promise((resolve) => void setTimeout(resolve, PAUSE_MS))]);
  }
}

/** Whether the topic was deleted, or is one of the same name that was made since. */
export async function isAnother(cluster: KafkaCluster, { topic, topicId }: ReadPlace): Promise<boolean> {
  await cluster.refreshAll().catch(() => undefined);
  return cluster.ended === undefined && cluster.topic(topic)?.id !== topicId;
}

export function anotherTopic(cluster: KafkaCluster): TailError {
  return new TailError('epoch', `${cluster.address.place}: the topic was deleted, or deleted and made again`);
}

export function unavailable(cluster: KafkaCluster, { partition }: ReadPlace, error: unknown): TailError {
  const message = `partition ${partition} of ${cluster.address.place}: ${faultText(error)}`;
  return new TailError('unavailable', message, { cause: error });
}

function bytesOf(records: readonly StoredRecord[]): number {
  let bytes = 0;
  for (const { value, headers } of records) bytes += value.length + HEADER_BYTES * (1 + headers.size);
  return bytes;
}

function decode(
  cluster: KafkaCluster,
  tools: BatchTools,
  { partition }: ReadPlace,
  batches: Buffer,
  offset: number,
  limit: number,
): StoredRecord[] {
  try {
    return decodeBatches(batches, offset, tools, limit);
  } catch (error) {
    const message = `partition ${partition} of ${cluster.address.place}: ${faultText(error)}`;
    throw new TailError('damaged', message, { cause: error });
  }
}
