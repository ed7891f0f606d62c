/**
 * A WebSocket client of the tests that speaks the wire itself and keeps what it receives.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { TestContext } from 'node:test';
import { WebSocket } from 'ws';

/** A frame that wants an answer. */
export interface Request {
  readonly op: string;
  readonly id: number;
  readonly [name: string]: unknown;
}

export interface Frame {
  readonly op: string;
  readonly id?: number;
  readonly code?: string;
  readonly ref?: string;
  readonly [name: string]: unknown;
}

/** A WebSocket that keeps what it receives. */
export class Peer {
  readonly socket: WebSocket;
  readonly frames: Frame[] = [];
  /** What stood behind the headers of frames that have a payload. */
  readonly payloads: string[] = [];
  closedWith: number | undefined;

  constructor(port: number, headers: Record<string, string> = {}) {
    this.socket = new WebSocket(`ws://127.0.0.1:${port}/v1/ws`, ['tideway.v1'], { headers });
    this.socket.on('message', (data: Buffer) => {
      const [header = '', payload] = data.toString('utf8').split('\n');
      const frame = JSON.parse(header) as Frame;
      if (payload !== undefined) this.payloads.push(payload);
      if (frame.op === 'ping') this.send({ op: 'pong' });
      this.frames.push(frame);
    });
    this.socket.on('close', (code: number) => (this.closedWith = code));
    this.socket.on('error', () => {});
  }

  send(frame: object, payload?: string): void {
    this.socket.send(JSON.stringify(frame) + (payload === undefined ? '' : `\n${payload}`));
  }

  /** The answer to a request. */
  async ask(t: TestContext, frame: Request, payload?: string): Promise<Frame> {
    this.send(frame, payload);
    return t.waitFor(() => this.frames.find(({ id }) => id === frame.id) ?? assert.fail('no answer'), DEADLINE);
  }

  async closed(t: TestContext): Promise<number> {
    return t.waitFor(() => this.closedWith ?? assert.fail('still open'), DEADLINE);
  }
}

/** For `t.waitFor`. */
export const DEADLINE = { timeout: 60_000, interval: 5 };

/** A peer whose hello has succeeded. */
export async function join(
  t: TestContext,
  port: number,
  token?: string,
  headers: Record<string, string> = {},
): Promise<Peer> {
  const peer = new Peer(port, headers);
  t.after(() => peer.socket.terminate());
  await once(peer.socket, 'open');
  const hello = await peer.ask(t, {
    op: 'hello',
    id: 1,
    instance: 'i',
    ...(token !== undefined && { token }),
  });
  assert.equal(hello.op, 'ok', JSON.stringify(hello));
  return peer;
}
