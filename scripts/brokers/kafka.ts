/**
 * Real Apache Kafka in KRaft mode, one member or several, each a Java process on loopback and free ports, from the jars
 * that fetch-kafka.ts fetched.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, rm, rmdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { freePorts } from '@tideway/verifier/free-ports';
import { heldFolder } from '../leash.ts';
import { type Broker, type BrokerKind, replicatedBroker, type StaleBroker } from './broker.ts';
import { BrokerProcess } from './broker-process.ts';
import { javaArguments, missingKafka } from './kafka-jars.ts';
import {
  kafkaUser,
  log4jProperties,
  makeKeys,
  serverProperties,
  type KafkaOptions,
  type MemberPlace,
} from './kafka-settings.ts';

export { kafkaUser, type KafkaOptions } from './kafka-settings.ts';

/** A start on two busy cores takes about 6 s, and so does a stop. */
const START_MS = 240_000;

export const kafka: BrokerKind = {
  name: 'kafka',
  missing: missingKafka,
  async start() {
    const [member] = (await startKafka()).members;
    if (member === undefined) throw new Error('a Kafka cluster has a member');
    return member;
  },
  async startMembers() {
    const cluster = await startKafka({ members: 3 });
    return replicatedBroker({ url: cluster.url('tideway'), members: cluster.members, stop: () => cluster.stop() });
  },
  startStale: startStaleKafka,
};

/** Its topic allows what topics of ours do not: that a replica leads which is not in sync. */
async function startStaleKafka(): Promise<StaleBroker> {
  const cluster = await startKafka({ members: 3 });
  const { members } = cluster;
  const [primary, replica] = members as [KafkaMember, KafkaMember, KafkaMember];
  const { Admin } = await import('@platformatic/kafka');
  const admin = new Admin({ clientId: 'tideway', bootstrapBrokers: cluster.bootstrap.split(',') });
  const brokers = [primary.place.id, replica.place.id];
  await admin.createTopics({
    topics: ['tideway'],
    partitions: -1,
    replicas: -1,
    assignments: Array.from({ length: 8 }, (_, partition) => ({ partition, brokers })),
    configs: [{ name: 'unclean.leader.election.enable', value: 'true' }],
  });
  await admin.close();
  return Object.assign(replicatedBroker({ url: cluster.url('tideway'), members, stop: () => cluster.stop() }), {
    detachReplica: () => replica.shutDown(),
    async failOver() {
      await primary.kill();
      await replica.restart();
    },
  });
}

export class KafkaCluster {
  readonly members: readonly KafkaMember[];
  /** `host:port` of all members, as Kafka's own clients take it. */
  readonly bootstrap: string;
  /** A file with the certificate to trust; only with TLS. */
  readonly certificate: string | undefined;
  readonly #folder: string;
  readonly #options: KafkaOptions;

  constructor(folder: string, members: readonly KafkaMember[], options: KafkaOptions) {
    this.#folder = folder;
    this.#options = options;
    this.members = members;
    this.bootstrap = members.map(({ place }) => `127.0.0.1:${place.advertisedPort}`).join(',');
    this.certificate = options.tls === true ? join(folder, 'certificate.pem') : undefined;
  }

  /** The address of a log on it, as `tideway serve --log` takes it, with more parameters where given. */
  url(name: string, parameters: Readonly<Record<string, string>> = {}): string {
    const { sasl, tls } = this.#options;
    const login = sasl === undefined ? '' : `${kafkaUser.user}:${encodeURIComponent(kafkaUser.password)}@`;
    const query = new URLSearchParams({
      ...(sasl === undefined ? {} : { sasl }),
      ...(this.certificate === undefined ? {} : { ca: this.certificate }),
      ...parameters,
    }).toString();
    const scheme = tls === true ? 'kafka+tls' : 'kafka';
    return `${scheme}://${login}${this.bootstrap}/${name}${query === '' ? '' : `?${query}`}`;
  }

  /** Kills what runs and removes all data. */
  async stop(): Promise<void> {
    await Promise.all(this.members.map((member) => member.kill()));
    await rm(this.#folder, { recursive: true, force: true });
  }
}

/** Starts a cluster and resolves when all its members serve. */
export async function startKafka(options: KafkaOptions = {}): Promise<KafkaCluster> {
  const folder = await heldFolder('tideway-kafka-');
  const count = options.members ?? 1;
  const ports = await freePorts(3 * count);
  const proxied = await options.advertise?.(ports[0] ?? 0);
  const places = Array.from({ length: count }, (_, n): MemberPlace => {
    const [clientPort = 0, innerPort = 0, controllerPort = 0] = ports.slice(3 * n);
    const advertisedPort = n === 0 ? (proxied ?? clientPort) : clientPort;
    return {
      id: n + 1,
      folder: join(folder, `member-${n + 1}`),
      clientPort,
      advertisedPort,
      innerPort,
      controllerPort,
    };
  });
  const keys = options.tls === true ? await makeKeys() : undefined;
  if (keys !== undefined) await writeFile(join(folder, 'certificate.pem'), keys.certificate);
  const members = places.map((place) => new KafkaMember(place, options));
  const cluster = new KafkaCluster(folder, members, options);
  try {
    for (const { place } of members) {
      await mkdir(place.folder);
      await writeFile(join(place.folder, 'server.properties'), serverProperties(place, places, options, keys));
      await writeFile(join(place.folder, 'log4j2.properties'), log4jProperties);
    }
    await Promise.all(members.map((member) => member.restart()));
  } catch (error) {
    await cluster.stop();
    throw error;
  }
  return cluster;
}

export class KafkaMember extends BrokerProcess implements Broker {
  readonly place: MemberPlace;
  readonly url: string;
  readonly #options: KafkaOptions;

  constructor(place: MemberPlace, options: KafkaOptions) {
    super({
      name: 'Kafka',
      command: 'java',
      args: javaArguments('kafka.Kafka', ['server.properties'], options.java),
      folder: place.folder,
      ready: /Kafka Server started/,
      startMs: START_MS,
      stopMs: START_MS,
    });
    this.place = place;
    this.#options = options;
    // So that a proxy before it is not passed by.
    this.url = `kafka://127.0.0.1:${place.advertisedPort}/tideway?advertised=ignore`;
  }

  override async restart(): Promise<void> {
    if (!existsSync(join(this.folder, 'data', 'meta.properties'))) await this.#format();
    await super.restart();
  }

  override async stop(): Promise<void> {
    await super.stop();
    // Of the cluster; another member may still have its own in it.
    await rmdir(dirname(this.folder)).catch(() => undefined);
  }

  async #format(): Promise<void> {
    const { sasl } = this.#options;
    const { user, password } = kafkaUser;
    const scram = sasl?.startsWith('scram') === true;
    const login = `${sasl?.toUpperCase()}=[name=${user},password=${password}]`;
    // Any id of 16 bytes; all members must have the same.
    const id = Buffer.from('tideway kafka 01').toString('base64url');
    const args = ['format', '-t', id, '-c', 'server.properties', ...(scram ? ['--add-scram', login] : [])];
    await promisify(execFile)('java', javaArguments('kafka.tools.StorageTool', args), { cwd: this.folder });
  }
}
