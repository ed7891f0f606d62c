/**
 * A TCP proxy in front of a broker that counts what the broker sends: bytes, and how often a text is among them. Whoever
 * wants to know whether a node read records on its broker looks here: the payloads would have come by.
 */
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

export interface Counted {
  /** From the broker to its clients, as what follows. */
  readonly bytes: number;
  /** How often the text came by. */
  readonly texts: number;
}

export class CountingProxy {
  readonly #server: Server;
  readonly #text: Buffer;
  readonly #sockets = new Set<Socket>();
  #bytes = 0;
  #texts = 0;

  private constructor(server: Server, text: string) {
    this.#server = server;
    this.#text = Buffer.from(text);
  }

  /** @param text what is counted; it must not overlap itself */
  static async listen(target: { readonly host: string; readonly port: number }, text: string): Promise<CountingProxy> {
    const server = createServer({ noDelay: true });
    const proxy = new CountingProxy(server, text);
    server.on('connection', (client) => proxy.#join(client, connect({ ...target, noDelay: true })));
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, '127.0.0.1', resolve);
    });
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Since the start. */
  get counted(): Counted {
    return { bytes: this.#bytes, texts: this.#texts };
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #join(client: Socket, broker: Socket): void {
    let rest: Buffer = Buffer.alloc(0);
    broker.on('data', (chunk: Buffer) => {
      this.#bytes += chunk.length;
      // A text may be cut by the end of a chunk: its beginning is kept for the next one.
      const bytes = Buffer.concat([rest, chunk]);
      this.#texts += this.#countIn(bytes);
      rest = bytes.subarray(Math.max(0, bytes.length - this.#text.length + 1));
    });
    for (const socket of [client, broker]) {
      this.#sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        this.#sockets.delete(socket);
        client.destroy();
        broker.destroy();
      });
    }
    client.pipe(broker);
    broker.pipe(client);
  }

  #countIn(bytes: Buffer): number {
    let count = 0;
    for (let at = bytes.indexOf(this.#text); at >= 0; at = bytes.indexOf(this.#text, at + this.#text.length)) count++;
    return count;
  }
}
