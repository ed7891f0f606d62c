/**
 * A TCP proxy that does to connections what networks do: cut at any byte, delay, throttle, split, freeze. Knows bytes
 * only; what may happen is set from outside and holds for every connection from then on.
 */
import { createServer, connect, type AddressInfo, type Server, type Socket } from 'node:net';

/** All absent: bytes pass as they come. */
export interface ProxyFault {
  /** Each chunk arrives this much later. */
  readonly delayMs?: number | undefined;
  /** Chunks are cut into pieces of at most so many bytes. */
  readonly pieceBytes?: number | undefined;
  /** No more than this in a second, in each direction. */
  readonly bytesPerSecond?: number | undefined;
  /** Nothing passes, and nothing is read. */
  readonly freeze?: boolean | undefined;
  /** The connection is cut, without a word to either side, after so many more bytes. */
  readonly cutAfterBytes?: number | undefined;
}

/** How often throttled bytes get their share of a second. */
const SHARE_MS = 50;

export class FaultProxy {
  /** `undefined`: every new connection is refused. */
  target: { readonly host: string; readonly port: number } | undefined;
  /** What its clients are to speak: bytes of TLS pass like any others. */
  readonly scheme: 'http' | 'https';
  /** Connections cut by a fault or by `cut`, so far. */
  cuts = 0;
  readonly #server: Server;
  readonly #links = new Set<Link>();
  #fault: ProxyFault = {};

  private constructor(server: Server, scheme: 'http' | 'https') {
    this.#server = server;
    this.scheme = scheme;
  }

  static async listen(
    target: { readonly host: string; readonly port: number },
    scheme: 'http' | 'https' = 'http',
  ): Promise<FaultProxy> {
    const server = createServer({ allowHalfOpen: true });
    const proxy = new FaultProxy(server, scheme);
    proxy.target = target;
    server.on('connection', (client) => proxy.#accept(client));
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, '127.0.0.1', resolve);
    });
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `${this.scheme}://127.0.0.1:${this.port}`;
  }

  /** Bytes that have come and may not pass yet. */
  get heldBytes(): number {
    return [...this.#links].reduce((sum, link) => sum + link.heldBytes, 0);
  }

  /** From now on, for the connections that are and those to come. */
  setFault(fault: ProxyFault): void {
    this.#fault = fault;
    for (const link of this.#links) link.setFault(fault);
  }

  /** Cuts every connection that is. */
  cut(): void {
    for (const link of this.#links) link.cut();
  }

  async close(): Promise<void> {
    for (const link of this.#links) link.end();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #accept(client: Socket): void {
    if (this.target === undefined) {
      client.resetAndDestroy();
      return;
    }
    const link = new Link(client, connect({ ...this.target, allowHalfOpen: true }), this.#fault);
    this.#links.add(link);
    link.onEnd = (wasCut) => {
      this.#links.delete(link);
      if (wasCut) this.cuts++;
    };
  }
}

/** One connection through the proxy, both ways. */
class Link {
  onEnd: ((wasCut: boolean) => void) | undefined;
  readonly #ways: readonly [Way, Way];
  #bytesLeft = Infinity;
  #ended = false;

  constructor(client: Socket, server: Socket, fault: ProxyFault) {
    const take = (bytes: number): boolean => {
      this.#bytesLeft -= bytes;
      if (this.#bytesLeft <= 0) this.cut();
      return !this.#ended;
    };
    this.#ways = [new Way(client, server, take), new Way(server, client, take)];
    for (const socket of [client, server]) {
      socket.setNoDelay(true);
      socket.on('error', () => this.end());
      socket.on('close', () => {
        if (client.destroyed && server.destroyed) this.end();
      });
    }
    this.setFault(fault);
  }

  get heldBytes(): number {
    return this.#ways[0].heldBytes + this.#ways[1].heldBytes;
  }

  setFault(fault: ProxyFault): void {
    this.#bytesLeft = fault.cutAfterBytes ?? Infinity;
    for (const way of this.#ways) way.setFault(fault);
  }

  cut(): void {
    this.#finish(true);
  }

  end(): void {
    this.#finish(false);
  }

  #finish(wasCut: boolean): void {
    if (this.#ended) return;
    this.#ended = true;
    for (const way of this.#ways) way.end(wasCut);
    this.onEnd?.(wasCut);
  }
}

interface HeldBytes {
  chunk: Buffer;
  readonly dueMs: number;
}

/** One direction of a connection. */
class Way {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #take: (bytes: number) => boolean;
  #fault: ProxyFault = {};
  #queue: HeldBytes[] = [];
  #isOver = false;
  #dueMs = 0;
  #shareLeft = 0;
  #timer: NodeJS.Timeout | undefined;
  #waiting: NodeJS.Timeout | undefined;

  constructor(from: Socket, to: Socket, take: (bytes: number) => boolean) {
    this.#from = from;
    this.#to = to;
    this.#take = take;
    from.on('data', (chunk: Buffer) => this.#arrive(chunk));
    from.on('end', () => {
      this.#isOver = true;
      this.#flow();
    });
    to.on('drain', () => this.#flow());
  }

  setFault(fault: ProxyFault): void {
    this.#fault = fault;
    clearInterval(this.#timer);
    this.#timer = undefined;
    const { bytesPerSecond, freeze } = fault;
    if (bytesPerSecond !== undefined) {
      const share = Math.max(1, (bytesPerSecond * SHARE_MS) / 1_000);
      this.#timer = setInterval(() => {
        this.#shareLeft = Math.min(share * 2, this.#shareLeft + share);
        this.#flow();
      }, SHARE_MS);
    }
    if (freeze === true) this.#from.pause();
    this.#flow();
  }

  get heldBytes(): number {
    return this.#queue.reduce((sum, { chunk }) => sum + chunk.length, 0);
  }

  end(hard: boolean): void {
    clearInterval(this.#timer);
    clearTimeout(this.#waiting);
    this.#queue = [];
    if (hard) this.#to.resetAndDestroy();
    else this.#to.destroy();
  }

  #arrive(chunk: Buffer): void {
    const { pieceBytes = chunk.length, delayMs = 0 } = this.#fault;
    // Never before what came earlier, also where that was delayed longer: these are the bytes of one stream.
    this.#dueMs = Math.max(this.#dueMs, performance.now() + delayMs);
    for (let at = 0; at < chunk.length; at += pieceBytes) {
      this.#queue.push({ chunk: chunk.subarray(at, at + pieceBytes), dueMs: this.#dueMs });
    }
    this.#flow();
  }

  /** Passes on what may pass now; the sender is not read while something waits. */
  #flow(): void {
    const { freeze } = this.#fault;
    while (this.#queue.length > 0 && freeze !== true && !this.#to.writableNeedDrain && !this.#to.destroyed) {
      const chunk = this.#next();
      if (chunk === undefined) break;
      this.#to.write(chunk);
      if (!this.#take(chunk.length)) return;
    }
    if (this.#isOver && this.#queue.length === 0) this.#to.end();
    else if (this.#queue.length > 0 || freeze === true) this.#from.pause();
    else this.#from.resume();
  }

  /** The next bytes that are due and have a share of the second left. */
  #next(): Buffer | undefined {
    const first = this.#queue[0] as HeldBytes;
    const waitMs = first.dueMs - performance.now();
    if (waitMs > 0) {
      clearTimeout(this.#waiting);
      this.#waiting = setTimeout(() => this.#flow(), waitMs);
      return undefined;
    }
    const { chunk } = first;
    const share = this.#fault.bytesPerSecond === undefined ? chunk.length : Math.floor(this.#shareLeft);
    if (share < 1) return undefined;
    const passing = chunk.subarray(0, share);
    if (passing.length < chunk.length) first.chunk = chunk.subarray(share);
    else this.#queue.shift();
    this.#shareLeft -= passing.length;
    return passing;
  }
}
