/** What the view says where it cannot answer now. */
import { TidewayError } from '@tideway/protocol';
import { StoreError } from './store.ts';

const RETRY_MS = 1_000;

export function closedError(): TidewayError {
  return new TidewayError('going_away', 'the view is closed');
}

/** Of a place in a feed that went on, or became another one, while it was read. */
export function notHereError(): TidewayError {
  return new TidewayError('behind', 'the feed changed while it was read', { retryMs: RETRY_MS });
}

/** @param cause what the store said, if anything */
export function awayError(cause?: unknown): TidewayError {
  const what = cause instanceof StoreError ? 'cannot be read now' : 'is being opened anew';
  return new TidewayError('behind', `the view's store ${what}`, { retryMs: RETRY_MS, cause });
}
