/**
 * Several real nodes on one broker, and clients in front of them as a load balancer without affinity would have them:
 * each client through a proxy of its own, which leads to any node that is up and to another one after each cut.
 */
import { FaultProxy } from '../raw/fault-proxy.ts';
import { ServerProcess } from '../raw/server-process.ts';
import type { TortureClient } from '../torture/stage.ts';

export interface Node {
  readonly name: string;
  readonly server: ServerProcess;
  /** Between this node and the broker; absent where a broker tells its clients another address. */
  readonly brokerProxy: FaultProxy | undefined;
  /** How far its wall clock is off from now on, in milliseconds. */
  setClock(offsetMs: number): Promise<void>;
}

export interface Place {
  readonly host: string;
  readonly port: number;
}

export class Nodes {
  readonly all: readonly Node[];
  /** What clients speak to the nodes, or to what is in front of them. */
  readonly scheme: 'http' | 'https';
  /** A real load balancer in front of them, which leads clients by itself. */
  front: Place | undefined;
  readonly #clients: TortureClient[] = [];
  #turn = 0;

  constructor(all: readonly Node[], scheme: 'http' | 'https') {
    this.all = all;
    this.scheme = scheme;
  }

  /** Those to which a load balancer leads: their /readyz says 200. */
  get up(): readonly Node[] {
    return this.all.filter(({ server }) => !server.isStopping);
  }

  async start(): Promise<void> {
    await Promise.all(this.all.map(({ server }) => server.start()));
  }

  /** A proxy for one client: the nodes take turns. */
  async door(): Promise<FaultProxy> {
    return await FaultProxy.listen(this.#next(), this.scheme);
  }

  /** Clients behind a node that is gone are led to another one. */
  watch(client: TortureClient): void {
    this.#clients.push(client);
  }

  /** Leads every client to a node that is up, another one than before where there is one. */
  balance(): void {
    for (const { proxy } of this.#clients) proxy.target = this.#next();
  }

  /** Cuts every client and leads it elsewhere. */
  shuffle(): void {
    this.balance();
    for (const { proxy } of this.#clients) proxy.cut();
  }

  #next(): Place {
    if (this.front !== undefined) return this.front;
    const { up } = this;
    const node = up[this.#turn++ % Math.max(1, up.length)] ?? this.all[0];
    return { host: '127.0.0.1', port: node?.server.port ?? 0 };
  }

  async stop(): Promise<readonly (number | null)[]> {
    const exits = await Promise.all(this.all.map(({ server }) => server.stop()));
    for (const { brokerProxy } of this.all) await brokerProxy?.close();
    return exits;
  }
}
