/**
 * One authorized HTTP request to the server, with another token where the first is refused (HTTP-1).
 */
import { codes, isCode, type ItemError, TidewayError } from '@tideway/protocol';
import type { Credentials } from './credentials.ts';
import type { Endpoints } from './endpoints.ts';
import type { Env } from './env.ts';
import { errorOf } from './link.ts';

/** What to wait after a proxy's own error. */
const FOREIGN_RETRY_MS = 1_000;

export interface HttpRequest {
  readonly method: 'GET' | 'POST';
  /** From `/v1` on, with its query. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array | undefined;
  readonly signal?: AbortSignal | undefined;
}

export class Http {
  readonly #env: Env;
  readonly #endpoints: Endpoints;
  readonly #credentials: Credentials;
  readonly #instance: string;

  constructor(env: Env, endpoints: Endpoints, credentials: Credentials, instance: string) {
    this.#env = env;
    this.#endpoints = endpoints;
    this.#credentials = credentials;
    this.#instance = instance;
  }

  /** The answer, if it is one of success; rejects with the server's `TidewayError`, or with what the network threw. */
  async request(request: HttpRequest): Promise<Response> {
    const token = await this.#credentials.current();
    try {
      return await this.send(request, token);
    } catch (error) {
      const isRefused = error instanceof TidewayError && codes[error.code].action === 'refresh';
      if (!isRefused || !this.#credentials.isRenewable) throw error;
      return this.send(request, await this.#credentials.renew('rejected'));
    }
  }

  /** The same with one token and no second attempt. */
  async send(request: HttpRequest, token: string | undefined): Promise<Response> {
    const response = await this.#env.fetch(this.#endpoints.http + request.path, {
      method: request.method,
      headers: {
        ...request.headers,
        'Tideway-Instance': this.#instance,
        ...(token && { Authorization: `Bearer ${token}` }),
      },
      // The bytes were made here or given by the application: they lie in no shared buffer.
      body: (request.body as string | Uint8Array<ArrayBuffer> | undefined) ?? null,
      signal: request.signal ?? null,
    });
    if (response.ok) return response;
    throw await errorOfResponse(response);
  }
}

/** The `{"error":{…}}` of an answer; a proxy in between may have put anything else there. */
async function errorOfResponse(response: Response): Promise<TidewayError> {
  const text = await response.text();
  try {
    const { error } = JSON.parse(text) as { readonly error: ItemError };
    if (isCode(error.code)) return errorOf(error);
  } catch {
    // Not ours; told by its status below.
  }
  const { status } = response;
  // A proxy speaks for a server that is away for a moment: what it says can be tried again.
  const retryMs = status >= 500 || status === 408 || status === 429 ? FOREIGN_RETRY_MS : undefined;
  return new TidewayError(status === 401 ? 'unauthenticated' : 'internal', `the server answered ${status}`, {
    retryMs,
  });
}
