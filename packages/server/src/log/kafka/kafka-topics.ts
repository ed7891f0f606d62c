/**
 * The three topics of a log: records (`name`), constants (`name.constants`) and signals (`name.signals`). Makes those
 * that are missing, and looks whether a topic of records that is there can hold a log.
 */
import { BrokerError } from '../broker/broker-port.ts';
import type { KafkaCluster } from './kafka-cluster.ts';
import { faultCode, faults, faultText } from './kafka-fault.ts';

export interface TopicNames {
  readonly records: string;
  readonly constants: string;
  readonly signals: string;
}

/** What counts of the records' topic, as the broker has it. */
export interface TopicSettings {
  readonly replication: number;
  readonly minInSync: number;
  readonly isUnclean: boolean;
  /** A batch of one record may have so many bytes. */
  readonly batchBytesMax: number;
}

export function topicNames(name: string): TopicNames {
  return { records: name, constants: `${name}.constants`, signals: `${name}.signals` };
}

const CREATE_MS = 4_000;
/** Leaders of a new topic are there within a moment. */
const LEADERS_MS = 5_000;
const LOOK_MS = 50;
const MIB = 1024 * 1024;
const MINUTE_MS = 60_000;
const FOREVER = '-1';

/** Resolves when all three are there and each partition has a leader. */
export async function makeTopics(cluster: KafkaCluster, partitions: number, recordBytesMax: number): Promise<void> {
  const { name } = cluster.address;
  const names = topicNames(name);
  // Where all brokers start at once some may not be known yet: those that the address names will come.
  const brokers = Math.max(cluster.brokerCount, cluster.address.brokers.length);
  const replication = cluster.address.replication ?? Math.min(3, brokers);
  const safe = {
    'cleanup.policy': 'delete',
    'min.insync.replicas': replication >= 3 ? '2' : '1',
    'unclean.leader.election.enable': 'false',
    // A node whose clock is wrong neither keeps records too long nor loses them too soon.
    'message.timestamp.type': 'LogAppendTime',
    // What may go is deleted by the log: it knows what its nodes still need.
    'retention.ms': FOREVER,
    'retention.bytes': FOREVER,
  };
  const wanted = [
    {
      name: names.records,
      partitions,
      configs: { ...safe, 'segment.bytes': String(128 * MIB), 'max.message.bytes': String(recordBytesMax + MIB) },
    },
    { name: names.constants, partitions: 1, configs: safe },
    {
      name: names.signals,
      partitions: 1,
      configs: {
        ...safe,
        'min.insync.replicas': '1',
        'retention.ms': String(10 * MINUTE_MS),
        'segment.ms': String(10 * MINUTE_MS),
        'retention.bytes': String(64 * MIB),
        'segment.bytes': String(16 * MIB),
      },
    },
  ];
  const missing = wanted.filter((topic) => cluster.topic(topic.name) === undefined);
  for (const topic of missing) await makeTopic(cluster, topic, replication);
  const hasLeaders = (): boolean =>
    wanted.every((topic) => {
      const known = cluster.topic(topic.name);
      return known?.partitions.every((_, n) => cluster.leader(topic.name, n) !== undefined) === true;
    });
  for (let waitedMs = 0; !hasLeaders(); waitedMs += LOOK_MS) {
    if (waitedMs > LEADERS_MS) throw new Error(`${cluster.address.place}: a partition of it has no leader`);
    await new Promise((resolve) => void setTimeout(resolve, LOOK_MS));
    await cluster.refresh();
  }
}

async function makeTopic(
  cluster: KafkaCluster,
  topic: { readonly name: string; readonly partitions: number; readonly configs: Readonly<Record<string, string>> },
  replication: number,
): Promise<void> {
  const configs = Object.entries(topic.configs).map(([name, value]) => ({ name, value }));
  const { name, partitions: numPartitions } = topic;
  const wanted = { name, numPartitions, replicationFactor: replication, assignments: [], configs };
  try {
    await cluster.call(cluster.anyBroker(), 'ask', (connection) =>
      cluster.kafka.createTopicsV7.api.async(connection, [wanted], CREATE_MS, false),
    );
  } catch (error) {
    const code = faultCode(error);
    // Another node was quicker, or this answer is older than the topic.
    if (code === faults.topicExists) return;
    const count = numPartitions === 1 ? '1 partition' : `${numPartitions} partitions`;
    const message = `${cluster.address.place}: the topic ${name} (${count}, ${replication} replicas) is not there and cannot be made: ${faultText(error)}`;
    throw new BrokerError(message, { isFinal: code !== undefined && isFinal.has(code), cause: error });
  }
}

/** Forbidden, or a wish that this cluster cannot fulfil. */
const isFinal: ReadonlySet<number> = new Set([29, 31, 37, 40, 42, 44]);

/** Throws where the topic cannot hold a log: compaction makes holes. */
export async function readSettings(cluster: KafkaCluster): Promise<TopicSettings> {
  const { records } = topicNames(cluster.address.name);
  const configurationKeys = [
    'cleanup.policy',
    'min.insync.replicas',
    'unclean.leader.election.enable',
    'max.message.bytes',
  ];
  const resource = { resourceType: cluster.kafka.ConfigResourceTypes.TOPIC, resourceName: records, configurationKeys };
  const answer = await cluster
    .call(cluster.anyBroker(), 'ask', (connection) =>
      cluster.kafka.describeConfigsV4.api.async(connection, [resource], false, false),
    )
    .catch((error: unknown) => {
      if (faultCode(error) !== faults.topicForbidden) throw error;
      const message = `${cluster.address.place}: this login may not see how the topic ${records} is configured (DescribeConfigs)`;
      throw new BrokerError(message, { isFinal: true, cause: error });
    });
  const of = new Map(answer.results[0]?.configs.map(({ name, value }) => [name, value]));
  const policy = of.get('cleanup.policy') ?? 'delete';
  if (policy !== 'delete') {
    const message = `${cluster.address.place}: the topic ${records} has cleanup.policy=${policy}; a log needs "delete", since compaction takes records out of its middle`;
    throw new BrokerError(message, { isFinal: true });
  }
  return {
    replication: cluster.topic(records)?.replication ?? 1,
    minInSync: Number(of.get('min.insync.replicas') ?? 1),
    isUnclean: of.get('unclean.leader.election.enable') === 'true',
    batchBytesMax: Number(of.get('max.message.bytes') ?? MIB),
  };
}
