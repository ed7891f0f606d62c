/** One fetch request: what a broker holds of some partitions from some offsets on, as it is, and what it says of each. */
import type { KafkaCluster } from './kafka-cluster.ts';
import { codeText, KafkaFault } from './kafka-fault.ts';
import { KafkaBytes } from './kafka-bytes.ts';
import type { Kafka } from './kafka-library.ts';

export interface FetchAsk {
  readonly topicId: string;
  readonly partition: number;
  /** Of the leader as it is known; another one answers with an error. -1: whichever. */
  readonly epoch: number;
  readonly offset: number;
  /** What it may give at most, beside a first batch that is larger. */
  readonly bytesMax?: number;
}

export interface Fetched {
  readonly topicId: string;
  readonly partition: number;
  /** 0, or what is wrong with this partition. */
  readonly code: number;
  /** The offset behind the last record that is safe on the replicas in sync. */
  readonly highWatermark: number;
  readonly batches: Buffer;
}

/** What one partition may give in one answer; one batch comes whole, however large. */
export const FETCH_BYTES = 1024 * 1024;
const ANSWER_BYTES = 8 * FETCH_BYTES;
/** Every record that is replicated, whatever a foreign transaction makes of it: one left open must not hold the log up. */
const READ_UNCOMMITTED = 0;
const NO_SESSION = { id: 0, epoch: -1 } as const;
const FETCH = { key: 1, version: 13 } as const;

const none = Buffer.alloc(0);

/** Resolves when there is something, an error, or after `waitMs`. */
export async function fetchOnce(
  cluster: KafkaCluster,
  broker: number,
  use: string,
  asks: readonly FetchAsk[],
  waitMs: number,
): Promise<Fetched[]> {
  const byTopic = Map.groupBy(asks, ({ topicId }) => topicId);
  const topics = [...byTopic].map(([topicId, ofTopic]) => ({
    topicId,
    partitions: ofTopic.map(({ partition, epoch, offset, bytesMax }) => ({
      partition,
      currentLeaderEpoch: epoch,
      fetchOffset: BigInt(offset),
      lastFetchedEpoch: -1,
      partitionMaxBytes: bytesMax ?? FETCH_BYTES,
    })),
  }));
  const { createRequest } = cluster.kafka.fetchV13;
  const connection = await cluster.connection(broker, use);
  return new Promise((resolve, reject) => {
    connection.send(
      FETCH.key,
      FETCH.version,
      () => createRequest(waitMs, 1, ANSWER_BYTES, READ_UNCOMMITTED, NO_SESSION.id, NO_SESSION.epoch, topics, [], ''),
      (_id, _key, _version, reader) => parseAnswer(cluster.kafka, reader.buffer.slice(reader.position)),
      true,
      true,
      (error, fetched) => (error === null && fetched !== undefined ? resolve(fetched) : reject(error as Error)),
    );
  });
}

/** The body of a fetch response, version 13. */
function parseAnswer(kafka: Kafka, body: Buffer): Fetched[] {
  const bytes = new KafkaBytes(body);
  bytes.int32();
  const code = bytes.int16();
  if (code !== 0) throw new KafkaFault(code, codeText(kafka, code));
  bytes.int32();
  const fetched: Fetched[] = [];
  for (let topics = bytes.uvarint() - 1; topics > 0; topics--) {
    const topicId = bytes.uuid();
    for (let partitions = bytes.uvarint() - 1; partitions > 0; partitions--) {
      fetched.push(parsePartition(bytes, topicId));
    }
    bytes.skipTags();
  }
  return fetched;
}

function parsePartition(bytes: KafkaBytes, topicId: string): Fetched {
  const partition = bytes.int32();
  const code = bytes.int16();
  const highWatermark = bytes.int64();
  // The last stable offset and the log's start.
  bytes.take(16);
  for (let aborted = bytes.uvarint() - 1; aborted > 0; aborted--) {
    bytes.take(16);
    bytes.skipTags();
  }
  // A replica to prefer.
  bytes.int32();
  const length = bytes.uvarint() - 1;
  const batches = length > 0 ? bytes.take(length) : none;
  bytes.skipTags();
  return { topicId, partition, code, highWatermark, batches };
}
