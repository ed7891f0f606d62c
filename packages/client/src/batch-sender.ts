/**
 * Appends over `POST /v1/batch` (HTTP-4): one request at a time, and what has gathered meanwhile is the next (CLI-5).
 * Answers as a WebSocket would, with go-back-N per channel (APP-3).
 */
import { type ClientFrame, type ItemError, type ServerFrame, TidewayError } from '@tideway/protocol';
import type { Payload } from './link.ts';

/** A batch takes no more than this: in base64, with headers, well below what a server reads (LIM-1). */
const BATCH_LENGTH_MAX = 1024 * 1024;
/** What an item weighs beside its payload: so much that 1 MiB is less than the 1,000 items a server takes (HTTP-4). */
const ITEM_LENGTH = 1_100;

type AppendFrame = Extract<ClientFrame, { op: 'append' }>;
type Result = { readonly cursor: string; readonly duplicate?: boolean } | ItemError;

interface Item {
  readonly frame: AppendFrame;
  readonly payload: Payload;
}

export interface BatchOwner {
  /** The answer's body; rejects with a `TidewayError` for all, or with anything else when the link has ended. */
  post(body: string): Promise<{ readonly results: readonly Result[] }>;
  onFrame(frame: ServerFrame): void;
}

export class BatchSender {
  readonly #owner: BatchOwner;
  /** Channels whose appends failed and wait for one that restarts them. */
  readonly #broken = new Map<string, ItemError>();
  #items: Item[] = [];
  #isBusy = false;

  constructor(owner: BatchOwner) {
    this.#owner = owner;
  }

  add(frame: AppendFrame, payload: Payload): void {
    if (frame.restart === true) this.#broken.delete(frame.channel);
    this.#items.push({ frame, payload });
    if (!this.#isBusy) void this.#send();
  }

  /** What is not sent by now never will be: the next link sends it again, and in order. */
  stop(): void {
    this.#items = [];
    this.#isBusy = true;
  }

  async #send(): Promise<void> {
    this.#isBusy = true;
    // What is appended in this turn goes along.
    await Promise.resolve();
    for (let batch = this.#take(); batch.length > 0; batch = this.#take()) {
      const results = await this.#owner.post(`[${batch.map((item) => textOf(item)).join()}]`).then(
        (body) => body.results,
        (error: unknown) => batch.map(() => (error instanceof TidewayError ? itemErrorOf(error) : undefined)),
      );
      for (const [index, item] of batch.entries()) this.#answer(item, results[index]);
    }
    this.#isBusy = false;
  }

  #take(): Item[] {
    const batch: Item[] = [];
    const items = this.#items;
    this.#items = [];
    let length = 0;
    for (const [index, item] of items.entries()) {
      const broken = this.#broken.get(item.frame.channel);
      if (broken !== undefined) {
        this.#answer(item, broken);
        continue;
      }
      if (batch.length > 0 && length + ITEM_LENGTH + item.payload.length > BATCH_LENGTH_MAX) {
        this.#items = [...items.slice(index), ...this.#items];
        break;
      }
      length += ITEM_LENGTH + item.payload.length;
      batch.push(item);
    }
    return batch;
  }

  #answer({ frame }: Item, result: Result | undefined): void {
    const { id, channel } = frame;
    if (result === undefined) return;
    if ('code' in result) {
      if (result.retryMs !== undefined) this.#broken.set(channel, result);
      this.#owner.onFrame({ ref: '', ...result, op: 'error', id });
    } else this.#owner.onFrame({ ...result, op: 'ok', id });
  }
}

/** The payload's text stands in the body as it is: what the server stores is what was appended. */
function textOf({ frame, payload }: Item): string {
  const { channel, rid, key, expect, trace } = frame;
  const isText = typeof payload === 'string';
  const head = JSON.stringify({ channel, rid, key, expect, trace, encoding: isText ? undefined : 'base64' });
  return `${head.slice(0, -1)},"data":${isText ? payload : `"${toBase64(payload)}"`}}`;
}

/** An error as it stands in a list of answers. */
export function itemErrorOf({ code, message, ref = '', retryMs }: TidewayError): ItemError & { readonly ref: string } {
  return { code, message, ref, ...(retryMs === undefined ? {} : { retryMs }) };
}

function toBase64(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}
