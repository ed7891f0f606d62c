/** The answer to paths that nobody serves. */
import type { IncomingMessage, ServerResponse } from 'node:http';

export function notFound(_request: IncomingMessage, response: ServerResponse): void {
  const body = JSON.stringify({
    error: { code: 'not_found', message: 'there is nothing at this path; the API is under /v1/' },
  });
  response.writeHead(404, {
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(body),
  });
  response.end(body);
}
