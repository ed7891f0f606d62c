/** Where a log is, as configuration names it: a scheme chooses the driver, which is loaded only then. */
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { BrokerLogOptions } from './broker/broker-log.ts';
import type { BrokerPort } from './broker/broker-port.ts';
import type { EmbeddedLogEvent, EmbeddedLogOptions } from './embedded/embedded-log.ts';
import { kafkaForm, parseKafkaAddress, type KafkaAddress } from './kafka/kafka-address.ts';
import type { Commit, Log } from './log.ts';
import { natsForm, parseNatsAddress, type NatsAddress } from './nats/nats-address.ts';
import { parseRabbitmqAddress, rabbitmqForm, type RabbitmqAddress } from './rabbitmq/rabbitmq-address.ts';
import { parseRedisAddress, redisForm, type RedisAddress } from './redis/redis-address.ts';

export interface LogOptions {
  /** What an operator should hear of. */
  readonly report?: (event: EmbeddedLogEvent) => void;
  readonly onCommit?: (commit: Commit) => void;
  /** Settings of the embedded log; others have their own in their address. */
  readonly embedded?: Pick<EmbeddedLogOptions, 'window' | 'segmentBytes' | 'keepBytes'>;
  /** What concerns logs on a broker. */
  readonly broker?: Pick<BrokerLogOptions, 'remembered' | 'report'>;
}

/** What an address says: a driver, and where. */
export type LogAddress =
  | { readonly driver: 'memory' }
  | { readonly driver: 'embedded'; readonly folder: string }
  | { readonly driver: 'nats'; readonly at: NatsAddress }
  | { readonly driver: 'rabbitmq'; readonly at: RabbitmqAddress }
  | { readonly driver: 'redis'; readonly at: RedisAddress }
  | { readonly driver: 'kafka'; readonly at: KafkaAddress };

/** True for a log that several nodes may share. */
export function isOnBroker({ driver }: LogAddress): boolean {
  return driver !== 'memory' && driver !== 'embedded';
}

interface Scheme {
  /** How it is written, for the message that lists what is known; absent where another scheme's says it. */
  readonly form?: string;
  parse(address: string): LogAddress;
}

const schemes: Readonly<Record<string, Scheme>> = {
  file: { form: 'file:FOLDER', parse: (address) => ({ driver: 'embedded', folder: folderOf(address) }) },
  memory: { form: 'memory:', parse: parseMemory },
  nats: { form: natsForm, parse: parseNats },
  'nats+tls': { parse: parseNats },
  amqp: { form: rabbitmqForm, parse: parseRabbitmq },
  amqps: { parse: parseRabbitmq },
  kafka: { form: kafkaForm, parse: parseKafka },
  'kafka+tls': { parse: parseKafka },
  redis: { form: redisForm, parse: parseRedis },
  rediss: { parse: parseRedis },
};

/**
 * Reads an address: `./tideway-data`, `/var/lib/tideway`, `file:data`, `file:///var/lib/tideway`, `memory:`. Throws in
 * words, naming the schemes that are known.
 */
export function parseLogAddress(address: string): LogAddress {
  if (address === '') throw new Error(`the log's address is empty; known: a folder, ${knownForms()}`);
  // One letter before a colon is a drive of Windows, and a folder may have any name behind a slash.
  const scheme = /^([a-z][a-z0-9+.-]+):/i.exec(address)?.[1]?.toLowerCase();
  if (scheme === undefined) return { driver: 'embedded', folder: resolve(address) };
  const known = Object.hasOwn(schemes, scheme) ? schemes[scheme] : undefined;
  // Nothing else of it is repeated: an address may carry credentials.
  if (known === undefined) throw new Error(`unknown log scheme "${scheme}:"; known: a folder, ${knownForms()}`);
  return known.parse(address);
}

/** The address without the credentials it may carry: what may be shown. */
export function shownLogAddress(address: string): string {
  return address.replace(/^([a-z][a-z0-9+.-]+:\/\/)[^/?#]*@/i, '$1***@');
}

/** Makes the log that an address names; it is not open yet. */
export async function createLog(address: string, options: LogOptions = {}): Promise<Log> {
  const parsed = parseLogAddress(address);
  switch (parsed.driver) {
    case 'memory': {
      const { MemoryLog } = await import('./memory/memory-log.ts');
      return new MemoryLog();
    }
    case 'embedded': {
      const { EmbeddedLog } = await import('./embedded/embedded-log.ts');
      const { report, onCommit, embedded } = options;
      return new EmbeddedLog({
        folder: parsed.folder,
        ...(report && { report }),
        ...(onCommit && { onCommit }),
        ...embedded,
      });
    }
    case 'nats': {
      const { NatsPort } = await import('./nats/nats-port.ts');
      return brokerLog(new NatsPort(parsed.at), parsed.at.partitions, options);
    }
    case 'rabbitmq': {
      const { RabbitmqPort } = await import('./rabbitmq/rabbitmq-port.ts');
      return brokerLog(new RabbitmqPort(parsed.at), parsed.at.partitions, options);
    }
    case 'redis': {
      const { RedisPort } = await import('./redis/redis-port.ts');
      return brokerLog(new RedisPort(parsed.at), parsed.at.partitions, options);
    }
    case 'kafka': {
      const { KafkaPort } = await import('./kafka/kafka-port.ts');
      return brokerLog(new KafkaPort(parsed.at), parsed.at.partitions, options);
    }
    default:
      return parsed satisfies never;
  }
}

async function brokerLog(port: BrokerPort, partitions: number | undefined, { broker }: LogOptions): Promise<Log> {
  const { BrokerLog } = await import('./broker/broker-log.ts');
  return new BrokerLog({ port, partitions, ...broker });
}

function knownForms(): string {
  return Object.values(schemes)
    .flatMap(({ form }) => form ?? [])
    .join(', ');
}

function parseMemory(address: string): LogAddress {
  if (!/^memory:(\/\/)?$/i.test(address)) throw new Error(`"${address}": a memory log has no place; write memory:`);
  return { driver: 'memory' };
}

function parseNats(address: string): LogAddress {
  return { driver: 'nats', at: parseNatsAddress(address) };
}

function parseRabbitmq(address: string): LogAddress {
  return { driver: 'rabbitmq', at: parseRabbitmqAddress(address) };
}

function parseRedis(address: string): LogAddress {
  return { driver: 'redis', at: parseRedisAddress(address) };
}

function parseKafka(address: string): LogAddress {
  return { driver: 'kafka', at: parseKafkaAddress(address) };
}

function folderOf(address: string): string {
  const path = /^file:\/\//i.test(address) ? fileURLToPath(address) : address.slice('file:'.length);
  if (path === '') throw new Error('file: needs a folder behind it');
  return resolve(path);
}
