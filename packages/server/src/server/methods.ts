/**
 * The methods that this process serves: asks whether the caller may, calls the application's function, and makes an
 * answer of what it returns or throws, within the time of a call. A throwing function harms nobody else.
 */
import { TidewayError, timing } from '@tideway/protocol';
import { callRefusal, mayCall } from '../auth/permissions.ts';
import type { Env } from '../env.ts';
import { errorRefusal, UNDECIDED, type Refusal } from '../hub/refusal.ts';
import { unanswered, type Call, type CallResult, type MethodOptions } from '../hub/call.ts';

/** An application's own words are passed on up to here: with it an answer still fits a message of any broker. */
const MESSAGE_LENGTH_MAX = 1_024;

const FAILED: Refusal = {
  code: 'internal',
  message: 'the method failed; the log of the server has the reference',
  retryMs: timing.retryMs,
};

export class Methods {
  readonly #env: Env;
  readonly #methods: ReadonlyMap<string, MethodOptions>;
  readonly #bytesMax: () => number;
  readonly #onFailed: (message: string, cause: unknown) => void;

  constructor(parts: {
    readonly env: Env;
    readonly methods: Readonly<Record<string, MethodOptions>>;
    /** The most that a result may have. */
    readonly bytesMax: () => number;
    /** Told what a function of the application threw, which no client is told. */
    readonly onFailed: (message: string, cause: unknown) => void;
  }) {
    this.#env = parts.env;
    this.#methods = new Map(Object.entries(parts.methods));
    this.#bytesMax = parts.bytesMax;
    this.#onFailed = parts.onFailed;
  }

  get names(): readonly string[] {
    return [...this.#methods.keys()];
  }

  has(method: string): boolean {
    return this.#methods.has(method);
  }

  /** Carries out a call of a method that is here. Never rejects. */
  async carryOut(call: Call, gone: AbortSignal): Promise<CallResult> {
    const { call: who, handle } = this.#methods.get(call.method) as MethodOptions;
    try {
      if (!(await mayCall(who, call.identity, call.method, this.#onFailed)))
        return errorRefusal(callRefusal(call.identity, call.method));
    } catch {
      return UNDECIDED;
    }
    const over = new AbortController();
    return new Promise((resolve) => {
      const end = (result: CallResult): void => {
        cancel();
        gone.removeEventListener('abort', leave);
        resolve(result);
      };
      const giveUp = (why: string): void => {
        over.abort(new TidewayError('unanswered', why));
        end(unanswered(call.method, why));
      };
      const leave = (): void => giveUp('it was given up before there was an answer');
      const cancel = this.#env.setTimer(timing.callMs, () => giveUp(`no answer within ${timing.callMs} ms`));
      if (gone.aborted) return leave();
      gone.addEventListener('abort', leave);
      void this.#handle(handle, call, over.signal).then(end);
    });
  }

  async #handle(handle: MethodOptions['handle'], call: Call, signal: AbortSignal): Promise<CallResult> {
    const { method, identity, encoding, payload } = call;
    try {
      const argument: unknown = encoding === 'json' ? JSON.parse(payload.toString('utf8')) : new Uint8Array(payload);
      const result = encode(await handle(argument, { ...identity, signal }));
      const bytesMax = this.#bytesMax();
      if (result.payload.length <= bytesMax) return result;
      const message = `the result of ${method} has ${result.payload.length} bytes; a call holds at most ${bytesMax}`;
      return { code: 'too_large', message };
    } catch (error) {
      // What the function threw on purpose is its answer, as a session hook's is.
      if (error instanceof TidewayError) {
        return { ...errorRefusal(error), message: error.message.slice(0, MESSAGE_LENGTH_MAX) };
      }
      this.#onFailed(`the method ${method} failed`, error);
      return FAILED;
    }
  }
}

/** @throws TypeError for what is no JSON */
function encode(result: unknown): Extract<CallResult, { encoding: unknown }> {
  if (result instanceof Uint8Array) {
    return { encoding: 'bytes', payload: Buffer.from(result.buffer, result.byteOffset, result.byteLength) };
  }
  const text: unknown = JSON.stringify(result ?? null);
  if (typeof text !== 'string') throw new TypeError(`its result is a ${typeof result}, which is no JSON`);
  return { encoding: 'json', payload: Buffer.from(text) };
}
