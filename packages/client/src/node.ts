/**
 * What the client offers in Node alone.
 */
export { fileOutbox } from './adapters/file-outbox.ts';
