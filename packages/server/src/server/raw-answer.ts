/**
 * An answer written to a socket that Node's HTTP no longer answers on: a handshake that is refused, bytes that are no
 * request (PROTOCOL.md HTTP-2). The connection ends with it.
 */
import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import type { ErrorBody } from '../transport/request-refusal.ts';
import type { Env } from '../env.ts';

/** How long what the peer still sends is thrown away: closed at once, its system would throw our answer away, too. */
const LINGER_MS = 1_000;

export function answerRaw(env: Env, socket: Duplex, answer: ErrorBody): void {
  const body = Buffer.from(answer.body);
  const head = [
    `HTTP/1.1 ${answer.status} ${STATUS_CODES[answer.status] ?? ''}`,
    'Connection: close',
    ...Object.entries({ ...answer.headers, 'Content-Length': body.length }).map(([name, value]) => `${name}: ${value}`),
  ];
  socket.end(Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), body]));
  socket.resume();
  const cancel = env.setTimer(LINGER_MS, () => socket.destroy());
  socket.once('close', cancel);
}
