/** Why something was not done, as every transport tells it (PROTOCOL.md COD-2). */
import { codes, timing, type Code, type TidewayError } from '@tideway/protocol';

/** A refusal before anything was stored. */
export interface Refusal {
  readonly code: Code;
  readonly message: string;
  readonly retryMs?: number;
  /** What the log says instead of `message`, where that may quote the payload. */
  readonly logged?: string;
}

/** What was thrown on purpose, as a refusal. */
export function errorRefusal({ code, message, retryMs }: TidewayError): Refusal {
  return { code, message, ...(retryMs === undefined ? {} : { retryMs }) };
}

/** Where what decides has failed. */
export const UNDECIDED: Refusal = {
  code: 'internal',
  message: 'the server could not decide; try again',
  retryMs: timing.retryMs,
};

/** Retryable iff it carries `retryMs` (COD-2): codes whose action is `retry` always do. */
export function withRetry<R extends { readonly code: Code; readonly retryMs?: number | undefined }>(refusal: R): R {
  return refusal.retryMs === undefined && codes[refusal.code].action === 'retry'
    ? { ...refusal, retryMs: timing.retryMs }
    : refusal;
}
