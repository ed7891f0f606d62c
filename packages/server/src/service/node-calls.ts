/** The calls of the HTTP API that a consumer makes, with any node; what fails is a `TidewayError`. */
import { isCode, TidewayError, type Code, type GapReason, type RecordLine } from '@tideway/protocol';
import { backoffMs, CALLS } from './backoff.ts';
import { pause, randomId, type ServiceEnv } from './env.ts';

/** The answer of `GET /v1/feed` (PROTOCOL.md FEED-1). */
export interface FeedAnswer {
  readonly records: readonly RecordLine[];
  readonly next: string;
  readonly end: boolean;
  readonly lag: number;
  readonly partitions: number;
  readonly gaps?: readonly {
    readonly reason: GapReason;
    readonly place?: string;
    readonly channel?: string;
    readonly cursor?: string;
  }[];
  /** How many bytes it took. */
  readonly bytes: number;
}

/** The answer of `GET /v1/records` (HTTP-5). */
export interface HistoryAnswer {
  readonly records: readonly RecordLine[];
  readonly next: string;
  readonly gap?: { readonly reason: GapReason };
}

/** Of one channel, in the answer of `GET /v1/session` (HTTP-16). */
interface ChannelAnswer {
  readonly permissions?: readonly string[];
  readonly code?: Code;
  readonly message?: string;
}

/** How long a call may take beside the time it was told to wait. */
const CALL_MS = 15_000;

export class NodeCalls {
  readonly #env: ServiceEnv;
  readonly #url: string;
  readonly #authorization: Readonly<Record<string, string>>;

  constructor(parts: { readonly env: ServiceEnv; readonly url: string; readonly key: string | undefined }) {
    this.#env = parts.env;
    this.#url = parts.url;
    this.#authorization = parts.key === undefined ? {} : { authorization: `Bearer ${parts.key}` };
  }

  async feed(
    query: {
      readonly channels: readonly string[];
      readonly partition: number;
      readonly after: string;
      readonly limit: number;
      readonly waitSeconds?: number;
    },
    signal?: AbortSignal,
  ): Promise<FeedAnswer> {
    const { channels, partition, after, limit, waitSeconds = 0 } = query;
    const search = new URLSearchParams([
      ...channels.map((channel) => ['channel', channel]),
      ...Object.entries({ partition, after, limit, wait: waitSeconds }).map(([name, value]) => [name, String(value)]),
    ]);
    const text = await this.#ask('GET', `/v1/feed?${search}`, { waitSeconds, signal });
    // The server's own answer, made for this request.
    return { ...(JSON.parse(text) as FeedAnswer), bytes: text.length };
  }

  /** The newest records of a channel, or those behind or in front of a place. */
  async history(
    query: {
      readonly channel: string;
      readonly after?: string;
      readonly before?: string;
      readonly limit: number;
      readonly waitSeconds?: number;
    },
    signal?: AbortSignal,
  ): Promise<HistoryAnswer> {
    const { channel, after, before, limit, waitSeconds = 0 } = query;
    const search = new URLSearchParams({ channel, limit: String(limit) });
    if (after !== undefined) search.set('after', after);
    if (before !== undefined) search.set('before', before);
    if (waitSeconds > 0) search.set('wait', String(waitSeconds));
    return JSON.parse(await this.#ask('GET', `/v1/records?${search}`, { waitSeconds, signal })) as HistoryAnswer;
  }

  /**
   * Appends a record, and repeats it until it is known what became of it. Returns its cursor.
   *
   * @throws TidewayError what no repeat changes, `conflict` among it
   */
  async append(
    record: {
      readonly channel: string;
      readonly data: unknown;
      readonly rid?: string;
      readonly key?: string;
      readonly expect?: string;
    },
    signal: AbortSignal,
    onRetry: (error: unknown) => void = () => {},
  ): Promise<string> {
    const { channel, data, rid = randomId(this.#env), key, expect } = record;
    const search = new URLSearchParams({ channel, ...(expect === undefined ? {} : { expect }) });
    const headers = {
      'idempotency-key': rid,
      ...(key === undefined ? {} : { 'tideway-key': encodeURIComponent(key) }),
    };
    const body = JSON.stringify(data);
    for (let failures = 1; ; failures++) {
      try {
        const text = await this.#ask('POST', `/v1/records?${search}`, { headers, body, signal });
        return (JSON.parse(text) as { cursor: string }).cursor;
      } catch (error) {
        if (!isRetryable(error) || signal.aborted) throw error;
        onRetry(error);
        await pause(this.#env, Math.max(error.retryMs ?? 0, backoffMs(this.#env, CALLS, failures)), signal);
        if (signal.aborted) throw error;
      }
    }
  }

  /** Throws where there is no such channel, or this caller may not append to it. Tries nothing (HTTP-16). */
  async checkAppend(channel: string, signal: AbortSignal): Promise<void> {
    const text = await this.#ask('GET', `/v1/session?${new URLSearchParams({ channel })}`, { signal });
    const { channels } = JSON.parse(text) as { readonly channels: readonly [ChannelAnswer] };
    const { code, message, permissions = [] } = channels[0];
    if (code !== undefined) throw new TidewayError(code, message ?? code);
    if (!permissions.includes('append')) throw new TidewayError('forbidden', `append on ${channel} is not allowed`);
  }

  async #ask(
    method: string,
    path: string,
    call: {
      readonly waitSeconds?: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: string;
      readonly signal?: AbortSignal | undefined;
    },
  ): Promise<string> {
    const late = new AbortController();
    const end = (): void => late.abort();
    const cancel = this.#env.setTimer((call.waitSeconds ?? 0) * 1_000 + CALL_MS, end);
    call.signal?.addEventListener('abort', end);
    if (call.signal?.aborted === true) end();
    try {
      const response = await this.#env.fetch(this.#url + path, {
        method,
        headers: { ...this.#authorization, ...call.headers },
        ...(call.body === undefined ? {} : { body: call.body }),
        signal: late.signal,
      });
      const text = await response.text();
      if (response.ok) return text;
      throw errorOf(response.status, text, this.#url);
    } catch (error) {
      if (error instanceof TidewayError) throw error;
      throw new TidewayError('unconfirmed', `${this.#url} cannot be reached: ${causeOf(error)}`, {
        retryMs: CALLS.minMs,
        cause: error,
      });
    } finally {
      cancel();
      call.signal?.removeEventListener('abort', end);
    }
  }
}

/** What may be tried again as it is (PROTOCOL.md COD-2). */
export function isRetryable(error: unknown): error is TidewayError {
  return error instanceof TidewayError && error.retryMs !== undefined;
}

export function hasCode(error: unknown, ...codes: readonly Code[]): error is TidewayError {
  return error instanceof TidewayError && codes.includes(error.code);
}

function errorOf(status: number, text: string, url: string): TidewayError {
  try {
    const { code, message, ref, retryMs } = (JSON.parse(text) as { error: Readonly<Record<string, unknown>> }).error;
    if (typeof code === 'string' && isCode(code)) {
      return new TidewayError(code, String(message), {
        ...(typeof ref === 'string' ? { ref } : {}),
        ...(typeof retryMs === 'number' ? { retryMs } : {}),
      });
    }
  } catch {
    // Not ours: a proxy's, told by its status.
  }
  return new TidewayError('unconfirmed', `${url} answers ${status}`, { retryMs: CALLS.minMs });
}

function causeOf(error: unknown): string {
  const { message, cause } = error as Error;
  const inner = cause as (Error & { readonly code?: string }) | undefined;
  return inner?.code ?? inner?.message ?? message;
}
