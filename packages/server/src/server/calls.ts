/**
 * Who carries out a call: the methods of this process, else another node that serves the method. Bounds what is under
 * way here, whoever asked, and ends it with the server.
 */
import { timing } from '@tideway/protocol';
import type { Call, CallResult } from '../hub/call.ts';
import { methodUnknown } from '../hub/call-taker.ts';
import type { Cluster } from './cluster.ts';
import type { Methods } from './methods.ts';

/** Calls without an answer, and the bytes of their arguments. */
const OPEN_MAX = 4_096;
const OPEN_BYTES_MAX = 64 * 1024 * 1024;

export class Calls {
  readonly #methods: Methods;
  readonly #elsewhere: Cluster['call'];
  readonly #now: () => number;
  readonly #onCarriedOut: (method: string, result: string, durationMs: number) => void;
  readonly #open = new Set<AbortController>();
  #openBytes = 0;

  constructor(parts: {
    readonly methods: Methods;
    readonly elsewhere: Cluster['call'];
    readonly monotonicMs: () => number;
    /** A call of a method that is served here was answered: `ok`, or a code. */
    readonly onCarriedOut: (method: string, result: string, durationMs: number) => void;
  }) {
    this.#methods = parts.methods;
    this.#elsewhere = parts.elsewhere;
    this.#now = parts.monotonicMs;
    this.#onCarriedOut = parts.onCarriedOut;
  }

  /** A call that came in here. Never rejects. */
  carryOut(call: Call, gone: AbortSignal): Promise<CallResult> {
    return this.#hold(call, gone, (over) => {
      if (this.#methods.has(call.method)) return this.#here(call, over);
      return this.#elsewhere(call, over) ?? Promise.resolve(methodUnknown(call.method));
    });
  }

  /** One that came in elsewhere, and is never passed on again. */
  serve(call: Call, gone: AbortSignal): Promise<CallResult> {
    return this.#hold(call, gone, (over) => {
      return this.#methods.has(call.method) ? this.#here(call, over) : Promise.resolve(methodUnknown(call.method));
    });
  }

  /** Nobody waits for anything any more. */
  close(): void {
    for (const over of this.#open) over.abort();
  }

  async #here(call: Call, over: AbortSignal): Promise<CallResult> {
    const sinceMs = this.#now();
    const result = await this.#methods.carryOut(call, over);
    this.#onCarriedOut(call.method, 'code' in result ? result.code : 'ok', this.#now() - sinceMs);
    return result;
  }

  async #hold(call: Call, gone: AbortSignal, run: (over: AbortSignal) => Promise<CallResult>): Promise<CallResult> {
    const { length } = call.payload;
    if (this.#open.size >= OPEN_MAX || this.#openBytes + length > OPEN_BYTES_MAX) {
      return { code: 'overloaded', message: 'too many calls have no answer yet', retryMs: timing.retryMs };
    }
    const over = new AbortController();
    const leave = (): void => over.abort();
    if (gone.aborted) leave();
    gone.addEventListener('abort', leave);
    this.#open.add(over);
    this.#openBytes += length;
    try {
      return await run(over.signal);
    } finally {
      this.#open.delete(over);
      this.#openBytes -= length;
      gone.removeEventListener('abort', leave);
    }
  }
}
