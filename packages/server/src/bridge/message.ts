/** What a bridge knows of a message, whichever broker it comes from, and what it asks of that broker. */
import { isUtf8 } from 'node:buffer';
import { createHash } from 'node:crypto';

export interface Message {
  /** Where the broker has keys. */
  readonly key?: Buffer;
  /** The topic, routing key, subject or stream. */
  readonly subject: string;
  /** Of each name the first value that is UTF-8. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Buffer;
  /** The same for each delivery of this message, and no other's; absent where neither broker nor producer gave it one. */
  readonly id?: string;
  /** For people: `topic orders, partition 3, offset 17`. */
  readonly place: string;
}

/**
 * One life of the connection to where messages come from. Every failure ends it: the bridge closes it and opens another,
 * which begins with the first message that was not settled, in the order of the source.
 */
export interface Source {
  /** What has come, in order, up to a bounded number and size; waits for the first. Nothing only once the signal is aborted. */
  next(signal: AbortSignal): Promise<readonly Message[]>;
  /** All that `next` has given is stored: the place of the source moves behind it. */
  settled(): Promise<void>;
  /** Lets go of what is not settled. Never rejects. */
  close(): Promise<void>;
}

/** Opens a life. Rejects in words: a final `BrokerError` where somebody must act first, `StandBy` where another is at work. */
export type OpenSource = (signal: AbortSignal) => Promise<Source>;

/** Another copy of the bridge reads this source; its order is kept by one reader alone. */
export class StandBy extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'StandBy';
  }
}

/** Messages that `next` gives at once. */
export const TAKEN_MAX = 500;
/** Bytes of messages that it gives at once, and that may wait beside them; or one message that is larger. */
export const WAITING_BYTES_MAX = 8 * 1024 * 1024;

/** What a message weighs: its body and key. */
export function sizeOf({ key, body }: Message): number {
  return body.length + (key?.length ?? 0);
}

/** The SHA-256 of all a message says, place and delivery aside: of two that are alike in everything it is the same. */
export function digestOf({ key, subject, headers, body }: Message): string {
  const hash = createHash('sha256');
  hash.update(JSON.stringify([subject, key?.toString('base64') ?? null, [...headers].toSorted(byName)]));
  return hash.update('\n').update(body).digest('base64url');
}

/** A text as the short one that stands for it: 43 characters of base64url. */
export function shortened(text: string): string {
  return createHash('sha256').update(text).digest('base64url');
}

/** Bytes in JSON: a text, or an object where they are none. */
export function bytesInJson(bytes: Buffer): string | { readonly base64: string } {
  return isUtf8(bytes) ? bytes.toString() : { base64: bytes.toString('base64') };
}

function byName([a]: readonly [string, string], [b]: readonly [string, string]): number {
  return a < b ? -1 : 1;
}
