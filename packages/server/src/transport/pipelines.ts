/**
 * The requests of an HTTP/1.1 connection, one at a time (PROTOCOL.md HTTP-14): each begins once the answers in front of it
 * were taken, and while one waits nothing more is read. HTTP/2 has windows of its own and is let through.
 */
import type { ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { limits } from '@tideway/protocol';
import type { Request, Response } from './exchange.ts';

interface Line {
  waiting: number;
  /** The newest request that was begun. */
  answer: ServerResponse | undefined;
}

export class Pipelines {
  readonly #lines = new WeakMap<Duplex, Line>();

  /** Runs when it is the request's turn: at once, later, or never, where the connection ends before. */
  begin(request: Request, response: Response, run: () => void): void {
    if ('stream' in response) return run();
    const socket = request.socket as Duplex;
    const line = this.#lineOf(socket);
    // Node gives a response its socket when those in front of it are written out, and says so with this event.
    if (response.socket !== null) {
      line.answer = response;
      return run();
    }
    if (line.waiting >= limits.requestsWaiting) return void socket.destroy();
    line.waiting++;
    // Node itself resumes the socket at the end of each request that it has read.
    queueMicrotask(() => hold(socket, line));
    response.once('socket', () => {
      line.waiting--;
      line.answer = response;
      if (line.waiting === 0) socket.resume();
      run();
    });
  }

  /** The answer that is being made or given on a connection; `undefined` where there is none. */
  answerOn(socket: Duplex): ServerResponse | undefined {
    const answer = this.#lines.get(socket)?.answer;
    return answer === undefined || answer.writableFinished || answer.destroyed ? undefined : answer;
  }

  #lineOf(socket: Duplex): Line {
    const found = this.#lines.get(socket);
    if (found !== undefined) return found;
    const line: Line = { waiting: 0, answer: undefined };
    this.#lines.set(socket, line);
    socket.on('resume', () => hold(socket, line));
    return line;
  }
}

function hold(socket: Duplex, line: Line): void {
  if (line.waiting > 0 && !socket.destroyed) socket.pause();
}
