/**
 * What the client offers in browsers alone, apart from the rest, so that only pages that keep an outbox load it.
 */
export { indexedDbOutbox } from './adapters/indexeddb-outbox.ts';
