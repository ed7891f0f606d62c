/** Why a request is refused, and the answer that says so (PROTOCOL.md HTTP-2): what was thrown, its status, its body. */
import { codeStatuses, TidewayError, type Code } from '@tideway/protocol';
import type { Identity } from '../auth/identity.ts';
import { errorRefusal, withRetry, type Refusal } from '../hub/refusal.ts';

/** A refusal as a request is answered with it: some of HTTP's own have a status that is not their code's. */
export interface RequestRefusal extends Refusal {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
}

/** What the log says of a request besides its refusal. */
export interface Noted {
  readonly path: string;
  readonly method?: string;
  readonly channel?: string | undefined;
  readonly identity?: Identity | undefined;
  readonly remoteAddress?: string | undefined;
  /** What was thrown, if anything was. */
  readonly cause?: unknown;
}

/** Writes a refusal to the log; returns the reference both share. */
export type ReferRequest = (failure: Refusal, noted: Noted) => string;

/** The members of an error, with the reference that stands in the log. */
export interface ErrorMembers {
  readonly code: Code;
  readonly message: string;
  readonly ref: string;
  readonly retryMs?: number;
}

export function errorMembers({ code, message, retryMs }: Refusal, ref: string): ErrorMembers {
  return { code, message, ref, ...(retryMs === undefined ? {} : { retryMs }) };
}

/** The answer of HTTP-2. */
export interface ErrorBody {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export function errorBody(refusal: RequestRefusal, ref: string): ErrorBody {
  const error = errorMembers(withRetry(refusal), ref);
  const http = codeStatuses[error.code];
  return {
    status: refusal.status ?? http,
    headers: {
      'Content-Type': 'application/json; charset=utf-8',
      ...(error.retryMs === undefined ? {} : { 'Retry-After': String(Math.ceil(error.retryMs / 1_000)) }),
      ...(http === 401 ? { 'WWW-Authenticate': 'Bearer' } : {}),
      ...refusal.headers,
    },
    body: JSON.stringify({ error }),
  };
}

/** The request is not as the protocol says. */
export function badFrame(message: string): TidewayError {
  return new TidewayError('bad_frame', message);
}

/** Any thrown thing as what the client is told. */
export function refusalOf(error: unknown): Refusal {
  if (!(error instanceof TidewayError)) {
    return withRetry({ code: 'internal', message: 'a fault in the server; its log has the reference' });
  }
  return withRetry(errorRefusal(error));
}
