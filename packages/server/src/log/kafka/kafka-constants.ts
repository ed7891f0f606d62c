/**
 * The constants of a log, in a topic of their own that keeps everything. The first record wins. A later one counts only
 * where it names the record that it replaces and that one is in force: so two nodes that find the topic of records made
 * again at the same moment agree on its new epochs.
 */
import { randomBytes } from 'node:crypto';
import { formatEpoch } from '@tideway/protocol';
import { BrokerError, type StoredConstants } from '../broker/broker-port.ts';
import type { KafkaCluster } from './kafka-cluster.ts';
import { readAfter, readBounds, type ReadPlace } from './kafka-reads.ts';
import { topicNames } from './kafka-topics.ts';
import { produce } from './kafka-writer.ts';
import { encodeBatch, noProducer, type BatchTools } from './record-batch.ts';

interface InForce {
  /** Of the record that holds them. */
  readonly number: number;
  readonly constants: StoredConstants;
}

const KEY = 'constants';
const PAGE = 1_000;
/** So often two nodes may outrun each other. */
const TRIES = 10;

/** Reads what is in force, or brings it into force. */
export async function settleConstants(
  cluster: KafkaCluster,
  tools: BatchTools,
  wanted: StoredConstants,
): Promise<StoredConstants> {
  const names = topicNames(cluster.address.name);
  const records = cluster.topic(names.records);
  const own = cluster.topic(names.constants);
  if (records === undefined || own === undefined) throw new Error(`${cluster.address.place}: its topics are gone`);
  const place: ReadPlace = { topic: names.constants, topicId: own.id, partition: 0 };
  const identity = records.id;
  for (let tries = 0; tries < TRIES; tries++) {
    const known = await readInForce(cluster, tools, place);
    const count = known?.constants.partitions.length ?? wanted.partitions.length;
    if (count !== records.partitions.length) {
      const message = `${cluster.address.place}: the topic has ${records.partitions.length} partitions, the log was made with ${count}; another number moves channels to other partitions, so it needs a log with another name`;
      throw new BrokerError(message, { isFinal: true });
    }
    if (known?.constants.partitions.every((partition) => partition.identity === identity) === true) {
      return known.constants;
    }
    const next: StoredConstants =
      known === undefined
        ? { ...wanted, partitions: wanted.partitions.map(({ epoch }) => ({ epoch, identity })) }
        : {
            ...known.constants,
            partitions: known.constants.partitions.map((old) =>
              old.identity === identity ? old : { epoch: formatEpoch(randomBytes(6)), identity },
            ),
          };
    await write(cluster, tools, names.constants, next, known?.number);
  }
  throw new Error(`${cluster.address.place}: its constants change faster than they can be read`);
}

async function write(
  cluster: KafkaCluster,
  tools: BatchTools,
  topic: string,
  constants: StoredConstants,
  replaces: number | undefined,
): Promise<void> {
  const value = Buffer.from(JSON.stringify({ ...constants, ...(replaces === undefined ? {} : { replaces }) }));
  const record = { channel: KEY, value, headers: new Map<string, string>() };
  const batch = encodeBatch([record], noProducer, Date.now(), tools);
  const leader = cluster.leader(topic, 0);
  if (leader === undefined) throw new Error(`${cluster.address.place}: the topic ${topic} has no leader`);
  const connection = await cluster.connection(leader.leader, 'ask');
  await produce(cluster, connection, topic, 0, batch);
}

async function readInForce(cluster: KafkaCluster, tools: BatchTools, place: ReadPlace): Promise<InForce | undefined> {
  let inForce: InForce | undefined;
  const { oldest, newest } = await readBounds(cluster, place);
  let after = oldest;
  while (after < newest) {
    const records = await readAfter(cluster, tools, place, after, PAGE);
    if (records.length === 0) break;
    for (const { number, value } of records) {
      const one = parse(value);
      if (one === undefined) {
        const message = `${cluster.address.place}: record ${number} of ${place.topic} holds no constants that this version knows`;
        throw new BrokerError(message, { isFinal: true });
      }
      if (one.replaces === inForce?.number) inForce = { number, constants: one.constants };
      after = number;
    }
  }
  return inForce;
}

function parse(value: Buffer): { constants: StoredConstants; replaces: number | undefined } | undefined {
  try {
    const { format, window, partitions, replaces } = JSON.parse(value.toString()) as Record<string, unknown>;
    if (format !== 1 || !Number.isSafeInteger(window) || !Array.isArray(partitions)) return undefined;
    const isWhole = partitions.every(
      (one: unknown) => typeof one === 'object' && one !== null && 'epoch' in one && typeof one.epoch === 'string',
    );
    if (!isWhole || partitions.length === 0) return undefined;
    const known = { format: 1, window: window as number, partitions: partitions as StoredConstants['partitions'] };
    return { constants: known as StoredConstants, replaces: typeof replaces === 'number' ? replaces : undefined };
  } catch {
    return undefined;
  }
}
