/**
 * The body of a request that is answered without it: read to its end and thrown away. A connection that is closed while
 * its peer still sends is reset, and many a client then never sees the answer.
 */
import type { IncomingMessage } from 'node:http';
import type { Http2ServerRequest } from 'node:http2';

/** More is not read: whoever sends it may lose the answer. Slow ones end by `requestMs`. */
const BYTES_MAX = 64 * 1024 * 1024;

/** A body is on its way, and its connection cannot go on without it. */
export function hasUnwantedBody(request: IncomingMessage | Http2ServerRequest): request is IncomingMessage {
  return !request.complete && request.method !== 'GET' && request.httpVersionMajor === 1;
}

/** Calls back, once or more often, when nothing more is to be read. */
export function throwAwayBody(request: IncomingMessage, onEnd: () => void): void {
  let left = BYTES_MAX;
  request.on('data', (chunk: Buffer) => {
    left -= chunk.length;
    if (left < 0) onEnd();
  });
  for (const event of ['end', 'error', 'close']) request.once(event, onEnd);
  request.resume();
}
