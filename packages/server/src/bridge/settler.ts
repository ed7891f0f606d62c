/**
 * Brings messages to their end, in order: a record where they belong, or one of the dead letter channel. What may pass
 * is tried again for as long as it takes; of a channel nothing goes before what failed. Decides nothing about places:
 * who calls it moves on when it says so.
 */
import { codes, limits, TidewayError, type Code } from '@tideway/protocol';
import { pause, type Env } from '../env.ts';
import { backOffMs } from './patience.ts';
import type { Trouble } from './trouble.ts';
import { deadLetter, type DeadLetterOptions } from './dead-letter.ts';
import { type Item, mapMessage, type MappingOptions } from './mapping.ts';
import { type Message, sizeOf } from './message.ts';

/** Where records go. */
export interface Node {
  /** The largest record of any channel. */
  readonly recordBytes: number;
  /** `POST /v1/batch` with this body; its results. Rejects with a `TidewayError`, or in words where no server answers. */
  append(body: string): Promise<readonly Result[]>;
}

/** Of one item (PROTOCOL.md HTTP-4). */
export type Result =
  | { readonly cursor: string; readonly duplicate?: boolean }
  | { readonly code: Code; readonly message: string; readonly retryMs?: number };

export interface Settled {
  stored: number;
  /** Of these: the node had them already. */
  duplicates: number;
  dead: number;
}

export interface SettlerOptions {
  readonly node: Node;
  readonly mapping: MappingOptions;
  readonly dead: DeadLetterOptions;
  readonly trouble: Trouble;
  readonly onDead: (message: Message, code: string, why: string) => void;
  readonly env: Env;
}

/** Of one request; a larger item goes alone. */
const REQUEST_BYTES_MAX = 1024 * 1024;

/** An item on its way, and how often it was cut down to fit. */
interface Open extends Item {
  readonly dead?: { readonly code: string; readonly why: string; readonly isWhole: boolean };
}

/** What is still to be sent, in order, and what must pass first, if anything. */
interface Sent {
  readonly again: readonly Open[];
  readonly wait?: { readonly why: string; readonly retryMs: number };
}

export class Settler {
  readonly totals: Settled = { stored: 0, duplicates: 0, dead: 0 };
  readonly #options: SettlerOptions;

  constructor(options: SettlerOptions) {
    this.#options = options;
  }

  /** True when each message is stored; false when the signal was aborted before the node would take them. */
  async settle(messages: readonly Message[], signal: AbortSignal): Promise<boolean> {
    let open = messages.map((message) => this.#open(message));
    for (let failures = 0; open.length > 0;) {
      const count = fitting(open);
      const { again, wait } = await this.#send(open.slice(0, count));
      open = [...again, ...open.slice(count)];
      if (wait === undefined) {
        failures = 0;
        this.#options.trouble.over();
        continue;
      }
      const retryMs = Math.max(wait.retryMs, backOffMs(this.#options.env, failures++));
      this.#options.trouble.set(wait.why);
      if (signal.aborted || !(await pause(this.#options.env, retryMs, signal))) return false;
    }
    return true;
  }

  #open(message: Message): Open {
    const { mapping, node } = this.#options;
    const mapped = mapMessage(message, mapping, node.recordBytes);
    return 'code' in mapped ? this.#bury(message, mapped.code, mapped.why) : mapped;
  }

  #bury(message: Message, code: string, why: string): Open {
    const { dead, node } = this.#options;
    // What has no room for its body alone is not written out to be told so.
    const whole = sizeOf(message) > node.recordBytes ? undefined : deadLetter(message, { code, why }, dead, true);
    const isWhole = whole !== undefined && whole.bytes <= node.recordBytes;
    return { ...(isWhole ? whole : deadLetter(message, { code, why }, dead, false)), dead: { code, why, isWhole } };
  }

  async #send(items: readonly Open[]): Promise<Sent> {
    let results: readonly Result[];
    try {
      results = await this.#options.node.append(`[${items.map(({ text }) => text).join(',')}]`);
    } catch (error) {
      const { message } = error as Error;
      const isRefused = error instanceof TidewayError && (error.code === 'too_large' || error.code === 'bad_frame');
      if (!isRefused) return { again: items, wait: { why: message, retryMs: retryMsOf(error) } };
      // The whole was too much: each alone, and then one that is too much by itself is known.
      if (items.length > 1) return this.#sendEach(items);
      results = [{ code: error.code, message }];
    }
    const again: Open[] = [];
    let wait: Sent['wait'];
    for (const [n, item] of items.entries()) {
      const result = results[n] ?? { code: 'internal', message: 'the node gave no result for it' };
      if (!('code' in result)) {
        this.#count(item, result.duplicate === true);
        continue;
      }
      const { code, message, retryMs = 0 } = result;
      const next = codes[code].action === 'never' ? this.#refused(item, code, message) : undefined;
      again.push(next ?? item);
      if (next === undefined) wait ??= { why: `${item.channel}: ${message} (${code})`, retryMs };
    }
    return { again, ...(wait !== undefined && { wait }) };
  }

  async #sendEach(items: readonly Open[]): Promise<Sent> {
    for (const [n, item] of items.entries()) {
      const { again, wait } = await this.#send([item]);
      if (again.length > 0) return { again: [...again, ...items.slice(n + 1)], ...(wait !== undefined && { wait }) };
    }
    return { again: [] };
  }

  /** What becomes of an item that is refused for good; `undefined` where somebody must put something right first. */
  #refused(item: Open, code: Code, why: string): Open | undefined {
    const { dead } = this.#options;
    if (item.dead === undefined) return this.#bury(item.message, code, why);
    if (code !== 'too_large' || !item.dead.isWhole) return undefined;
    return { ...deadLetter(item.message, item.dead, dead, false), dead: { ...item.dead, isWhole: false } };
  }

  #count(item: Open, isDuplicate: boolean): void {
    if (isDuplicate) this.totals.duplicates++;
    if (item.dead === undefined) {
      this.totals.stored++;
      return;
    }
    this.totals.dead++;
    this.#options.onDead(item.message, item.dead.code, item.dead.why);
  }
}

function fitting(items: readonly Item[]): number {
  let bytes = 0;
  const end = items.findIndex((item) => (bytes += item.bytes + 1) > REQUEST_BYTES_MAX);
  return Math.min(end < 0 ? items.length : Math.max(end, 1), limits.batchItems);
}

function retryMsOf(error: unknown): number {
  const retryMs = error instanceof TidewayError ? error.retryMs : undefined;
  return retryMs ?? 0;
}
