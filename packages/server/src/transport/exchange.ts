/**
 * One HTTP request and its answer (PROTOCOL.md HTTP-1, HTTP-2): query, body, JSON, errors, the same over HTTP/1.1 and
 * HTTP/2. Knows no channel and no route.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import { codes, TidewayError, type Code } from '@tideway/protocol';
import type { Refusal } from '../hub/admission.ts';
import { withRetry } from '../hub/replies.ts';

export type Request = IncomingMessage | Http2ServerRequest;
export type Response = ServerResponse | Http2ServerResponse;

export class Exchange {
  readonly request: Request;
  readonly response: Response;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly isEncrypted: boolean;
  /** What was thrown, if anything was: for the log only. */
  cause: unknown;
  /** Added to every answer (CORS). */
  readonly #headers: Readonly<Record<string, string>>;
  readonly #refer: (failure: Refusal, path: string, cause?: unknown) => string;

  constructor(parts: {
    readonly request: Request;
    readonly response: Response;
    readonly headers: Readonly<Record<string, string>>;
    readonly isEncrypted: boolean;
    /** Writes a failure to the log; returns the reference both share. */
    readonly refer: (failure: Refusal, path: string, cause?: unknown) => string;
  }) {
    this.request = parts.request;
    this.response = parts.response;
    this.#headers = parts.headers;
    this.#refer = parts.refer;
    this.isEncrypted = parts.isEncrypted;
    const target = parts.request.url ?? '/';
    const at = target.indexOf('?');
    this.path = at < 0 ? target : target.slice(0, at);
    this.query = new URLSearchParams(at < 0 ? '' : target.slice(at + 1));
  }

  get method(): string {
    return this.request.method ?? 'GET';
  }

  /** One header's text; `undefined` where it is absent or empty. */
  header(name: string): string | undefined {
    const value = this.request.headers[name];
    const text = Array.isArray(value) ? value[0] : value;
    return text === '' ? undefined : text;
  }

  /** A query parameter that must be there once. */
  one(name: string): string {
    const values = this.query.getAll(name);
    if (values.length !== 1) {
      throw new TidewayError(
        'bad_frame',
        `the query parameter "${name}" must be given once, it was given ${values.length} times`,
      );
    }
    return values[0] as string;
  }

  /** A query parameter that may be there once. */
  maybe(name: string): string | undefined {
    return this.query.has(name) ? this.one(name) : undefined;
  }

  /** A whole number of the query within bounds, or its default. */
  whole(name: string, bounds: { readonly min: number; readonly max: number; readonly otherwise: number }): number {
    const text = this.maybe(name);
    if (text === undefined) return bounds.otherwise;
    const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= bounds.min && value <= bounds.max)) {
      throw new TidewayError(
        'bad_frame',
        `"${name}" must be a whole number from ${bounds.min} to ${bounds.max}, got "${text.slice(0, 20)}"`,
      );
    }
    return value;
  }

  /** The whole body; a larger one fails with `too_large` before it is read. */
  async body(bytesMax: number): Promise<Buffer> {
    const announced = Number(this.header('content-length') ?? 0);
    if (announced > bytesMax) throw tooLarge(bytesMax);
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of this.request as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > bytesMax) throw tooLarge(bytesMax);
      chunks.push(chunk);
    }
    return chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks);
  }

  json(status: number, body: unknown, headers: Readonly<Record<string, string>> = {}): void {
    this.bytes(status, Buffer.from(JSON.stringify(body)), {
      'content-type': 'application/json; charset=utf-8',
      ...headers,
    });
  }

  bytes(status: number, body: Buffer, headers: Readonly<Record<string, string>>): void {
    if (this.response.headersSent || this.response.destroyed) return;
    this.writeHead(status, { 'cache-control': 'private, no-store', 'content-length': String(body.length), ...headers });
    if (this.method === 'HEAD') (this.response as ServerResponse).end();
    else (this.response as ServerResponse).end(body);
  }

  writeHead(status: number, headers: Readonly<Record<string, string>>): void {
    (this.response as ServerResponse).writeHead(status, {
      'x-content-type-options': 'nosniff',
      ...this.#headers,
      ...headers,
    });
  }

  /** The members of an error, with the reference that stands in the log. */
  describe(failure: Refusal): { code: Code; message: string; ref: string; retryMs?: number } {
    return {
      code: failure.code,
      message: failure.message,
      ref: this.#refer(failure, this.path, this.cause),
      ...(failure.retryMs === undefined ? {} : { retryMs: failure.retryMs }),
    };
  }

  fail(failure: Refusal, headers: Readonly<Record<string, string>> = {}): void {
    if (this.response.headersSent || this.response.destroyed) return;
    const unread = !this.request.complete && this.method !== 'GET';
    this.json(
      codes[failure.code].http,
      { error: this.describe(failure) },
      {
        ...(failure.retryMs === undefined ? {} : { 'retry-after': String(Math.ceil(failure.retryMs / 1_000)) }),
        ...(codes[failure.code].http === 401 ? { 'www-authenticate': 'Bearer' } : {}),
        // What is left of a body nobody wants is not read to its end.
        ...(unread && this.request.httpVersionMajor === 1 ? { connection: 'close' } : {}),
        ...headers,
      },
    );
  }
}

function tooLarge(bytesMax: number): TidewayError {
  return new TidewayError('too_large', `the body may have ${bytesMax} bytes`);
}

/** Any thrown thing as what the client is told. */
export function refusalOf(error: unknown): Refusal {
  if (!(error instanceof TidewayError)) {
    return withRetry({ code: 'internal', message: 'a fault in the server; its log has the reference' });
  }
  const { code, message, retryMs } = error;
  return withRetry({ code, message, ...(retryMs === undefined ? {} : { retryMs }) });
}
