/**
 * A TCP port that leads to whichever of several endpoints takes the connection: the load balancer in front of the demo's
 * nodes, and the way from the nodes to a broker, which can be shut. Knows bytes only.
 */
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** An endpoint that has not taken a connection by then is passed over. */
const CONNECT_MS = 1_000;

export class Relay {
  readonly #choose: () => readonly Endpoint[];
  readonly #links = new Set<Link>();
  #server: Server | undefined;
  #port = 0;

  /** @param choose asked for each connection: the endpoints to try, best first; none refuses it */
  constructor(choose: () => readonly Endpoint[]) {
    this.#choose = choose;
  }

  /** 0 before it was opened. */
  get port(): number {
    return this.#port;
  }

  get isOpen(): boolean {
    return this.#server !== undefined;
  }

  /** Listens on loopback, on the port it had before or on a free one; rejects where somebody else took that meanwhile. */
  async open(): Promise<void> {
    if (this.#server !== undefined) return;
    // A peer that has said everything may still be waiting for its answer.
    const server = createServer({ allowHalfOpen: true }, (client) => {
      const link = new Link(client, this.#choose());
      this.#links.add(link);
      client.once('close', () => this.#links.delete(link));
    });
    this.#server = server;
    try {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen({ host: '127.0.0.1', port: this.#port }, resolve);
      });
    } catch (error) {
      this.#server = undefined;
      throw error;
    }
    this.#port = (server.address() as AddressInfo).port;
  }

  /** Closes the port and cuts every connection. */
  async shut(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) return;
    const isClosed = new Promise((resolve) => server.close(resolve));
    for (const link of this.#links) link.cut();
    await isClosed;
  }

  /** Cuts the connections that lead to an endpoint. */
  cut({ host, port }: Endpoint): void {
    for (const link of this.#links) if (link.endpoint?.host === host && link.endpoint.port === port) link.cut();
  }
}

/** One connection, from a client to the first endpoint that takes it. */
class Link {
  /** Where it leads, or is about to. */
  endpoint: Endpoint | undefined;
  readonly #client: Socket;
  #behind: Socket | undefined;

  constructor(client: Socket, endpoints: readonly Endpoint[]) {
    this.#client = client;
    client.setNoDelay(true);
    client.on('error', () => {});
    client.once('close', () => this.#behind?.destroy());
    this.#lead(endpoints);
  }

  cut(): void {
    this.#behind?.resetAndDestroy();
    this.#client.resetAndDestroy();
  }

  #lead([endpoint, ...others]: readonly Endpoint[]): void {
    const client = this.#client;
    if (client.destroyed) return;
    this.endpoint = endpoint;
    if (endpoint === undefined) {
      client.resetAndDestroy();
      return;
    }
    const behind = connect({ ...endpoint, allowHalfOpen: true });
    this.#behind = behind;
    behind.setNoDelay(true);
    const timer = setTimeout(() => behind.destroy(), CONNECT_MS);
    let isTaken = false;
    behind.on('error', () => {});
    behind.once('connect', () => {
      isTaken = true;
      clearTimeout(timer);
      client.pipe(behind);
      behind.pipe(client);
    });
    behind.once('close', () => {
      clearTimeout(timer);
      // What it said before it went still gets through.
      if (isTaken) client.destroySoon();
      else this.#lead(others);
    });
  }
}
