/** What a member of a Kafka cluster for tests and demos is told: its server.properties and its log4j2 file. */
import { createPrivateKey } from 'node:crypto';
import { generate } from 'selfsigned';

export interface KafkaOptions {
  /** Members; each is broker and controller in one. Default 1. */
  readonly members?: number;
  /** Clients must log in, as `kafkaUser`. */
  readonly sasl?: 'plain' | 'scram-sha-256' | 'scram-sha-512';
  /** Clients must speak TLS; `KafkaCluster.certificate` is what they trust. */
  readonly tls?: boolean;
  /** What the first member tells clients to connect to, of its own port: a proxy. */
  readonly advertise?: (port: number) => Promise<number>;
  /** More arguments of `java`. */
  readonly java?: readonly string[];
  /** More lines of server.properties. */
  readonly settings?: Readonly<Record<string, string>>;
}

export const kafkaUser = { user: 'tideway', password: 'let me in' } as const;

export interface MemberPlace {
  /** From 1. */
  readonly id: number;
  readonly folder: string;
  readonly clientPort: number;
  readonly advertisedPort: number;
  readonly innerPort: number;
  readonly controllerPort: number;
}

export interface Keys {
  readonly certificate: string;
  /** PKCS 8, as the broker wants it. */
  readonly key: string;
}

/** A certificate for loopback that signs itself. */
export async function makeKeys(): Promise<Keys> {
  const made = await generate([{ name: 'commonName', value: 'localhost' }], {
    keyType: 'ec',
    extensions: [
      {
        name: 'subjectAltName',
        altNames: [
          { type: 2, value: 'localhost' },
          { type: 7, ip: '127.0.0.1' },
        ],
      },
    ],
  });
  const key = createPrivateKey(made.private).export({ type: 'pkcs8', format: 'pem' });
  return { certificate: made.cert, key };
}

/** The text of server.properties. */
export function serverProperties(
  place: MemberPlace,
  all: readonly MemberPlace[],
  options: KafkaOptions,
  keys: Keys | undefined,
): string {
  const protocol = `${options.sasl === undefined ? '' : 'SASL_'}${options.tls === true ? 'SSL' : 'PLAINTEXT'}`;
  const inner = `INNER://127.0.0.1:${place.innerPort}`;
  const replicas = String(Math.min(all.length, 3));
  const lines: Record<string, string> = {
    'process.roles': 'broker,controller',
    'node.id': String(place.id),
    'controller.quorum.voters': all.map(({ id, controllerPort }) => `${id}@127.0.0.1:${controllerPort}`).join(','),
    listeners: `CLIENT://127.0.0.1:${place.clientPort},${inner},CONTROLLER://127.0.0.1:${place.controllerPort}`,
    'advertised.listeners': `CLIENT://127.0.0.1:${place.advertisedPort},${inner}`,
    'listener.security.protocol.map': `CLIENT:${protocol},INNER:PLAINTEXT,CONTROLLER:PLAINTEXT`,
    'inter.broker.listener.name': 'INNER',
    'controller.listener.names': 'CONTROLLER',
    'log.dirs': `${place.folder}/data`,
    'auto.create.topics.enable': 'false',
    'offsets.topic.num.partitions': '1',
    'offsets.topic.replication.factor': replicas,
    'transaction.state.log.num.partitions': '1',
    'transaction.state.log.replication.factor': replicas,
    'transaction.state.log.min.isr': '1',
    'group.initial.rebalance.delay.ms': '0',
    'num.network.threads': '2',
    'num.io.threads': '2',
    'log.cleaner.enable': 'false',
    // A member that died is missed within 3 s, not 9: tests wait for it.
    'broker.session.timeout.ms': '3000',
    'broker.heartbeat.interval.ms': '500',
    'replica.lag.time.max.ms': '5000',
    ...(options.sasl === undefined ? {} : saslProperties(options.sasl)),
    ...(keys === undefined ? {} : tlsProperties(keys)),
    ...options.settings,
  };
  return Object.entries(lines)
    .map(([name, value]) => `${name}=${escapeProperty(value)}\n`)
    .join('');
}

function saslProperties(mechanism: NonNullable<KafkaOptions['sasl']>): Record<string, string> {
  const { user, password } = kafkaUser;
  const name = `listener.name.client.${mechanism}.sasl.jaas.config`;
  const plain = `org.apache.kafka.common.security.plain.PlainLoginModule required user_${user}="${password}";`;
  const scram = 'org.apache.kafka.common.security.scram.ScramLoginModule required;';
  return {
    'sasl.enabled.mechanisms': mechanism.toUpperCase(),
    [name]: mechanism === 'plain' ? plain : scram,
  };
}

function tlsProperties(keys: Keys): Record<string, string> {
  return {
    'listener.name.client.ssl.keystore.type': 'PEM',
    'listener.name.client.ssl.keystore.certificate.chain': keys.certificate,
    'listener.name.client.ssl.keystore.key': keys.key,
  };
}

/** Lines of a value end in the two characters \n. */
function escapeProperty(value: string): string {
  return value.trim().replaceAll('\r', '').replaceAll('\n', '\\n');
}

/** Warnings and the lines that say what became of the start, on standard output. */
export const log4jProperties = `
status=error
appender.out.type=Console
appender.out.name=OUT
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%p %c{1}: %m%n
rootLogger.level=warn
rootLogger.appenderRef.out.ref=OUT
logger.server.name=kafka.server.KafkaRaftServer
logger.server.level=info
`;
