/** How whole frames go to a socket: what the connections of clients and those between processes have in common. */
import type { Duplex } from 'node:stream';

export abstract class SocketWrites {
  readonly #socket: Duplex;

  constructor(socket: Duplex) {
    this.#socket = socket;
  }

  backlogBytes(): number {
    return this.#socket.writableLength;
  }

  write(chunk: Buffer): void {
    this.#socket.write(chunk);
  }

  writeAll(chunks: readonly Buffer[]): void {
    this.#socket.cork();
    for (const chunk of chunks) this.#socket.write(chunk);
    this.#socket.uncork();
  }
}
