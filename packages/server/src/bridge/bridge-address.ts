/**
 * The other end of a bridge, as configuration writes it: the address of a log on that broker, with what is bridged in
 * place of the log's name.
 *
 *     kafka://host:9092/topic      amqp://host/vhost?queue=orders      amqp://host/vhost?exchange=orders&routingKey=order.*
 *     nats://host:4222/orders.>    redis://host:6379/stream
 *
 * Credentials and TLS stand where they stand for a log: docs/logs.
 */
import { parseKafkaAddress, type KafkaAddress } from '../log/kafka/kafka-address.ts';
import { natsPlace, parseNatsAddress, type NatsAddress } from '../log/nats/nats-address.ts';
import { hostText, parseRabbitmqAddress, type RabbitmqAddress } from '../log/rabbitmq/rabbitmq-address.ts';
import { parseRedisAddress, placeOf, type RedisAddress } from '../log/redis/redis-address.ts';
import type { WordName } from './template.ts';

export type BridgeAddress = (
  | { readonly broker: 'kafka'; readonly at: KafkaAddress; readonly topic: string }
  | {
      readonly broker: 'rabbitmq';
      readonly at: RabbitmqAddress;
      readonly queue: string | undefined;
      readonly exchange: string | undefined;
      /** With which a queue of the bridge's own is bound to the exchange. */
      readonly routingKeys: readonly string[];
    }
  | { readonly broker: 'nats'; readonly at: NatsAddress; readonly subject: string }
  | {
      readonly broker: 'redis';
      readonly at: RedisAddress;
      readonly stream: string;
      /** Of an entry, what is the body. */
      readonly field: string;
    }
) & {
  /** Without credentials: what may be shown. */
  readonly place: string;
};

export const bridgeForms =
  'kafka://HOST[:9092]/TOPIC, amqp://HOST[:5672]/VHOST?queue=QUEUE or ?exchange=EXCHANGE, nats://HOST[:4222]/SUBJECT, redis://HOST[:6379]/STREAM';

/** The words that templates have for each broker. */
export const wordsOf: Readonly<Record<BridgeAddress['broker'], readonly WordName[]>> = {
  kafka: ['key', 'header', 'body', 'digest'],
  rabbitmq: ['routingKey', 'header', 'body', 'digest'],
  nats: ['subject', 'header', 'body', 'digest'],
  redis: ['header', 'body', 'digest'],
};

/** In place of a name that is none of a log's. */
const NAME = 'bridge';
/** What only a log can be told. */
const ofLogs = [
  'advertised',
  'partitions',
  'replication',
  'retention',
  'replicas',
  'keepBytes',
  'segmentBytes',
  'name',
];

/** True for what is meant as the address of a broker, right or wrong. */
export function isBrokerAddress(text: string): boolean {
  return /^(kafka|kafka\+tls|amqps?|nats|nats\+tls|rediss?):/i.test(text);
}

/** Throws in words; nothing is repeated that could hold a credential. */
export function parseBridgeAddress(address: string): BridgeAddress {
  const [, scheme, before, path, query] =
    /^([a-z+]+):\/\/((?:[^@/?#]*@)?[^@/?#]+)(?:\/([^?#]*))?(?:\?([^#]*))?$/i.exec(address) ?? [];
  if (scheme === undefined || before === undefined || !isBrokerAddress(address)) {
    throw new Error(`a broker is written ${bridgeForms}`);
  }
  const parameters = new URLSearchParams(query ?? '');
  const wrong = ofLogs.find((name) => parameters.has(name));
  if (wrong !== undefined) throw new Error(`"${wrong}" is of a log's address; a bridge takes the broker as it is`);
  const name = decoded(path ?? '');
  const rest = (placed: string): string => {
    const left = parameters.toString();
    return `${scheme}://${before}/${placed}${left === '' ? '' : `?${left}`}`;
  };
  switch (scheme.toLowerCase()) {
    case 'kafka':
    case 'kafka+tls': {
      if (name === '') throw new Error('a topic is missing: kafka://HOST[:9092]/TOPIC');
      const at = parseKafkaAddress(rest(name));
      return { broker: 'kafka', at, topic: name, place: at.place };
    }
    case 'nats':
    case 'nats+tls': {
      if (!isSubject(name)) throw new Error(`"${name}" is no subject: nats://HOST[:4222]/orders.eu or /orders.>`);
      const at = parseNatsAddress(rest(NAME));
      return { broker: 'nats', at, subject: name, place: withName(natsPlace(at), name) };
    }
    case 'redis':
    case 'rediss': {
      if (name === '') throw new Error('a stream is missing: redis://HOST[:6379]/STREAM');
      const field = parameters.get('field') ?? 'value';
      parameters.delete('field');
      const at = parseRedisAddress(rest(NAME));
      return { broker: 'redis', at, stream: name, field, place: withName(placeOf(at), name) };
    }
    default:
      return rabbitmqAddress(parameters, () => parseRabbitmqAddress(rest(path ?? '')));
  }
}

function rabbitmqAddress(parameters: URLSearchParams, parse: () => RabbitmqAddress): BridgeAddress {
  const queue = parameters.get('queue') ?? undefined;
  const exchange = parameters.get('exchange') ?? undefined;
  const routingKeys = parameters.getAll('routingKey');
  for (const name of ['queue', 'exchange', 'routingKey']) parameters.delete(name);
  if ((queue ?? exchange ?? '') === '' || (queue !== undefined && exchange !== undefined)) {
    throw new Error('a queue or an exchange is missing: amqp://HOST/VHOST?queue=QUEUE or ?exchange=EXCHANGE');
  }
  if (queue !== undefined && routingKeys.length > 0) throw new Error('routingKey belongs to an exchange');
  parameters.set('name', NAME);
  const at = parse();
  const what = queue === undefined ? `exchange=${exchange}` : `queue=${queue}`;
  const hosts = at.hosts.map(hostText).join(',');
  const scheme = at.tls === undefined ? 'amqp' : 'amqps';
  const place = `${scheme}://${hosts}/${at.vhost === '/' ? '' : encodeURIComponent(at.vhost)}?${what}`;
  return { broker: 'rabbitmq', at: { ...at, place }, queue, exchange, routingKeys, place };
}

function withName(place: string, name: string): string {
  return `${place.slice(0, -NAME.length)}${name}`;
}

function isSubject(text: string): boolean {
  return text !== '' && text.split('.').every((token) => token !== '' && !/[\s\u0000-\u001f]/.test(token));
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new Error(`"${text}" has a "%" that is not followed by two hexadecimal digits; write %25`);
  }
}
