/**
 * What the client offers in Node alone.
 */
export { fileOutbox } from './adapters/file-outbox.ts';
export { disableHttp2 } from './adapters/http-version.ts';
