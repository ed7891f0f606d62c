/** What a configuration says about a bridge, checked: which way it leads, from where, to where, and under which names. */
import { isChannelName, isGlob } from '@tideway/protocol';
import { type BridgeAddress, bridgeForms, isBrokerAddress, parseBridgeAddress, wordsOf } from './bridge-address.ts';
import { ChannelTemplate, Template, type WordName } from './template.ts';

/** One bridge as `tideway.config.ts` has it: from a broker to channels, or from channels to a broker. */
export interface BridgeOptions {
  /** A broker's address, `kafka://host:9092/orders`; or channels, `order:*`, or a list of them. */
  readonly from: string | readonly string[];
  /** The channel of a message, `order:{key}` (`{key}` alone takes the key for the channel's name); or a broker's address. */
  readonly to: string;
  /** From a broker: the key of the record, `{body.status}`. Default: the header `tideway-key`. */
  readonly recordKey?: string | undefined;
  /** From a broker: what makes a message itself, `{header.event-id}`. Default: the header `tideway-rid`, else its place. */
  readonly rid?: string | undefined;
  /** From a broker: `bytes` takes bodies as they are. Default: JSON, unless the header `tideway-encoding` says `bytes`. */
  readonly payload?: 'json' | 'bytes' | undefined;
  /** The channel for what can never arrive. */
  readonly deadLetter: string;
  /**
   * What keeps the place. From a broker: its consumer group, durable consumer or queue, by default `tideway-` and the
   * bridge's name. From channels: the group of consumers, by default the bridge's name.
   */
  readonly group?: string | undefined;
}

interface Bridge {
  readonly name: string;
  readonly broker: BridgeAddress;
  readonly deadLetter: string;
  readonly group: string;
}

export interface InboundBridge extends Bridge {
  readonly direction: 'in';
  readonly channel: ChannelTemplate;
  readonly recordKey: Template | undefined;
  readonly rid: Template | undefined;
  readonly payload: 'json' | 'bytes';
}

export interface OutboundBridge extends Bridge {
  readonly direction: 'out';
  readonly channels: readonly string[];
}

/** A bridge that can be run. */
export type ResolvedBridge = InboundBridge | OutboundBridge;

export const bridgeKeys = ['from', 'to', 'recordKey', 'rid', 'payload', 'deadLetter', 'group'] as const;
type Key = (typeof bridgeKeys)[number];
/** What only messages have. */
const ofMessages = ['recordKey', 'rid', 'payload'] as const;
const payloads = ['json', 'bytes'] as const;
const allWords: readonly WordName[] = ['key', 'subject', 'routingKey', 'header', 'body', 'digest'];
const needed: Readonly<Partial<Record<Key, string>>> = {
  from: `the address of a broker, or channels such as order:*, are needed: ${bridgeForms}`,
  to: 'a channel such as order:{key}, or the address of a broker, is needed',
  deadLetter: 'a channel such as dead:orders, for what can never arrive, is needed',
};

/** Told of each thing that is wrong: what is allowed, as the end of a sentence. */
export type Wrong = (key: Key, allowed: string) => void;

export function isBridgeName(name: string): boolean {
  return /^[a-z][a-z0-9-]{0,31}$/.test(name);
}

/** The bridge, or nothing where something is wrong, each of which is told. */
export function resolveBridge(
  name: string,
  options: Readonly<Record<string, unknown>>,
  wrong: Wrong,
): ResolvedBridge | undefined {
  const reader = new OptionReader(options, wrong);
  for (const [key, what] of Object.entries(needed)) reader.need(key as Key, what);
  const deadLetter = reader.read('deadLetter', (text) => {
    if (!isChannelName(text)) throw new Error('the name of a channel is, such as dead:orders');
    return text;
  });
  const { to } = options;
  const isOut = typeof to === 'string' && isBrokerAddress(to);
  const leading = isOut ? outward(name, reader) : inward(name, reader);
  if (!reader.isRight || leading === undefined || deadLetter === undefined) return undefined;
  return { ...leading, name, deadLetter };
}

function inward(name: string, reader: OptionReader): Omit<InboundBridge, 'name' | 'deadLetter'> | undefined {
  const payload = (reader.options['payload'] ?? 'json') as 'json' | 'bytes';
  if (!payloads.includes(payload)) reader.fail('payload', `one of ${payloads.join(', ')} is`);
  const broker = reader.read('from', (text) => {
    if (!isBrokerAddress(text)) throw new Error(`a broker is, since no broker stands in to: ${bridgeForms}`);
    return parseBridgeAddress(text);
  });
  // Where the address is wrong, what may stand in a template is not known.
  const words = broker === undefined ? allWords : wordsOf[broker.broker];
  const known = payload === 'bytes' ? words.filter((word) => word !== 'body') : words;
  const channel = reader.read('to', (text) => new ChannelTemplate(text, known));
  const recordKey = reader.read('recordKey', (text) => new Template(text, known));
  const rid = reader.read('rid', (text) => new Template(text, known));
  const group = reader.read('group', (text) => {
    if (!/^[A-Za-z0-9_-]{1,100}$/.test(text)) throw new Error('1 to 100 of A–Z a–z 0–9 _ - are');
    return text;
  });
  if (broker === undefined || channel === undefined) return undefined;
  return { direction: 'in', broker, channel, recordKey, rid, payload, group: group ?? `tideway-${name}` };
}

function outward(name: string, reader: OptionReader): Omit<OutboundBridge, 'name' | 'deadLetter'> | undefined {
  const broker = reader.read('to', (text) => {
    const address = parseBridgeAddress(text);
    const isWild = address.broker === 'nats' && /[*>]/.test(address.subject.replace(/\.>$/, ''));
    if (isWild) throw new Error('a subject to write to has no * and no >, save .> at its end for the channel');
    return address;
  });
  const { from } = reader.options;
  const channels = Array.isArray(from) ? (from as unknown[]) : [from];
  const isRight = channels.length > 0 && channels.every((one) => typeof one === 'string' && isGlob(one) && one !== '*');
  if (from !== undefined && from !== null && !isRight) {
    reader.fail('from', 'channels are, such as order:* or order:eu/*, since a broker stands in to');
  }
  for (const key of ofMessages) {
    if (reader.options[key] !== undefined) reader.fail(key, 'it belongs to a bridge from a broker');
  }
  const group = reader.read('group', (text) => {
    if (!/^[A-Za-z0-9_.-]{1,32}$/.test(text)) throw new Error('1 to 32 of A–Z a–z 0–9 _ . - are');
    return text;
  });
  if (broker === undefined || !isRight) return undefined;
  return { direction: 'out', broker, channels: channels as string[], group: group ?? name };
}

/** Reads texts out of an object of unknown shape, and remembers whether all were right. */
class OptionReader {
  readonly options: Readonly<Record<string, unknown>>;
  readonly #wrong: Wrong;
  isRight = true;

  constructor(options: Readonly<Record<string, unknown>>, wrong: Wrong) {
    this.options = options;
    this.#wrong = wrong;
  }

  fail(key: Key, allowed: string): undefined {
    this.isRight = false;
    this.#wrong(key, allowed);
  }

  need(key: Key, what: string): void {
    if (this.options[key] === undefined || this.options[key] === null) this.fail(key, `it is missing; ${what}`);
  }

  read<T>(key: Key, make: (text: string) => T): T | undefined {
    const text = this.options[key];
    if (text === undefined || text === null) return undefined;
    if (typeof text !== 'string' || text === '') return this.fail(key, 'a text is');
    try {
      return make(text);
    } catch (error) {
      return this.fail(key, (error as Error).message);
    }
  }
}
