/**
 * How a record looks as an AMQP message, for services in any language: the body is the payload as it is, the header
 * `tideway-channel` names the channel, the other headers are those of `native-record.ts`. A record's number is its
 * offset in the stream; offset 0 is the stream's first message, which is no record and names the epoch.
 */
import type { ConsumeMessage, Options } from 'amqplib';
import type { StoredRecord } from '../broker/broker-port.ts';
import type { NativeRecord } from '../broker/native-record.ts';

const CHANNEL = 'tideway-channel';
const GENESIS = 'tideway-genesis';
const PROBE = 'tideway-probe';
const OFFSET = 'x-stream-offset';
const utf8 = new TextDecoder('utf-8', { fatal: true });

/** What a record is published with: `mandatory`, since RabbitMQ confirms what no queue takes. */
export function toProperties({ channel, headers }: NativeRecord): Options.Publish {
  const contentType = headers.has('tideway-encoding') ? 'application/octet-stream' : 'application/json';
  const fields: Record<string, string> = { [CHANNEL]: channel ?? '' };
  for (const [name, text] of headers) fields[name] = text;
  return { mandatory: true, persistent: true, contentType, headers: fields };
}

export function offsetOf(message: ConsumeMessage): number {
  return Number(message.properties.headers?.[OFFSET]);
}

export function fromMessage(message: ConsumeMessage): StoredRecord {
  const { properties, content } = message;
  const headers = new Map<string, string>();
  let isReadable = true;
  for (const [name, value] of Object.entries(properties.headers ?? {})) {
    if (name === OFFSET) continue;
    const text = textOf(value);
    if (text !== undefined) headers.set(name, text);
    else if (name.startsWith('tideway-')) isReadable = false;
  }
  const channel = isReadable ? headers.get(CHANNEL) : undefined;
  headers.delete(CHANNEL);
  // Seconds, from the producer: AMQP has no time of the broker.
  const seconds: unknown = properties.timestamp;
  return {
    number: offsetOf(message),
    channel,
    value: content,
    headers,
    ...(typeof seconds === 'number' ? { brokerTime: seconds * 1_000 } : {}),
  };
}

export function genesisProperties(epoch: string): Options.Publish {
  return { mandatory: true, persistent: true, headers: { [GENESIS]: epoch } };
}

/** The epoch that a stream's first message names. */
export function genesisOf(message: ConsumeMessage): unknown {
  return message.properties.headers?.[GENESIS];
}

/** A message that is no record either: where it comes back, everything before it has. */
export function probeProperties(id: string): Options.Publish {
  return { mandatory: true, persistent: true, headers: { [PROBE]: id } };
}

export function isProbe(message: ConsumeMessage, id: string): boolean {
  return message.properties.headers?.[PROBE] === id;
}

/** Plain clients write numbers and byte arrays, too. */
function textOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (!Buffer.isBuffer(value)) return undefined;
  try {
    return utf8.decode(value);
  } catch {
    return undefined;
  }
}
