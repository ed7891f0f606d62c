/**
 * The demo's nodes: server processes on one log behind one address, each of which can be killed and paused. The address
 * is a load balancer as it stands in front of real ones: round robin, no affinity, nodes that do not answer are left out.
 */
import { Relay, type Endpoint } from './demo-relay.ts';
import { DemoServer, type DemoServerOptions, type DemoServerStatus } from './demo-server.ts';
import { askNode, putFault, type NodeReport } from './demo-watch.ts';

/** `silent`: runs and does not answer; `behind`: has not read yet what another one had read a moment ago. */
export type NodeState = DemoServerStatus['state'] | 'silent' | 'log down' | 'behind';

export interface NodeStatus {
  readonly state: NodeState;
  readonly pid: number | undefined;
  readonly restarts: number;
  readonly upMs: number | undefined;
  readonly sessions: number;
  /** The client objects that are connected to it. */
  readonly instances: readonly string[];
}

export interface DemoNodesOptions {
  readonly count: number;
  /** How the n-th node is started, from 1. */
  readonly serverOptions: (n: number) => Omit<DemoServerOptions, 'onStatus'>;
  /** One to which somebody always appends. */
  readonly channel: string;
  readonly onChange: () => void;
}

const ASK_MS = 500;
/** Questions in a row without an answer, and the balancer leads nobody there. */
const MISSES_MAX = 2;

export class DemoNodes {
  readonly #nodes: readonly Node[];
  readonly #balancer: Relay;
  readonly #options: DemoNodesOptions;
  #turn = 0;
  /** The furthest place that any node had at the last look. */
  #furthest = '';
  #timer: NodeJS.Timeout | undefined;
  #said = '';

  constructor(options: DemoNodesOptions) {
    this.#options = options;
    this.#nodes = Array.from({ length: options.count }, (_, index) => {
      const node: Node = new Node({ ...options.serverOptions(index + 1), onStatus: () => this.#look(node) });
      return node;
    });
    this.#balancer = new Relay(() => this.#inTurn());
  }

  get status(): readonly NodeStatus[] {
    return this.#nodes.map((node) => node.status(this.#furthest));
  }

  /** Starts all of them; resolves with their address, rejects in words when one of them cannot run here. */
  async start(): Promise<string> {
    const urls = await Promise.all(this.#nodes.map(({ server }) => server.start()));
    this.#ask();
    // Clients of a single one see its port closed when it is dead, as they would without a balancer.
    if (urls.length === 1) return urls[0] as string;
    await this.#balancer.open();
    return `http://127.0.0.1:${this.#balancer.port}`;
  }

  /** `kill -9` of the n-th node; returns its process, if there was one. */
  kill(n: number): number | undefined {
    return this.#nodes[n - 1]?.server.kill();
  }

  pause(n: number): boolean {
    return this.#nodes[n - 1]?.server.pause() === true;
  }

  resume(n: number): boolean {
    return this.#nodes[n - 1]?.server.resume() === true;
  }

  /** Puts a fault into the way of a client object, wherever it is connected. */
  async putFault(instance: string, fault: string): Promise<void> {
    await Promise.all(this.#nodes.flatMap(({ url }) => (url === undefined ? [] : putFault(url, instance, fault))));
  }

  /** At once, for an end that cannot wait. */
  killAll(): void {
    for (const { server } of this.#nodes) server.kill();
  }

  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    await Promise.all(this.#nodes.map(({ server }) => server.stop()));
    await this.#balancer.shut();
  }

  #inTurn(): readonly Endpoint[] {
    const open = this.#nodes.filter((node) => node.isOpen);
    const first = this.#turn++ % Math.max(1, open.length);
    return [...open.slice(first), ...open.slice(0, first)].map((node) => node.endpoint);
  }

  /** What a node's process does is seen at once; the rest is asked for. */
  #look(node: Node): void {
    if (node.server.status.state !== 'paused' && node.server.status.state !== 'up') node.forget();
    this.#tell();
  }

  /** Looks at all nodes at the same moment, again and again. */
  #ask(): void {
    this.#timer = setTimeout(() => {
      const furthest = this.#nodes.map(({ report }) => report?.place ?? '').reduce(later, '');
      void Promise.all(this.#nodes.map((node) => node.ask(this.#options.channel))).then(() => {
        if (this.#timer === undefined) return;
        this.#furthest = furthest;
        for (const node of this.#nodes) if (node.misses === MISSES_MAX) this.#giveUp(node);
        this.#tell();
        this.#ask();
      });
    }, ASK_MS);
  }

  /** As a balancer does with connections to a server that is no longer there; without one they stay. */
  #giveUp(node: Node): void {
    if (!this.#balancer.isOpen) return;
    node.forget();
    this.#balancer.cut(node.endpoint);
  }

  #tell(): void {
    const now = JSON.stringify(this.status.map((status) => ({ ...status, upMs: undefined })));
    if (now === this.#said) return;
    this.#said = now;
    this.#options.onChange();
  }
}

class Node {
  readonly server: DemoServer;
  /** Its own words at the last look; gone with its connections. */
  report: NodeReport | undefined;
  /** Looks in a row at which it said nothing, though it runs. */
  misses = 0;

  constructor(options: DemoServerOptions) {
    this.server = new DemoServer(options);
  }

  get url(): string | undefined {
    return this.server.status.url;
  }

  get endpoint(): Endpoint {
    return { host: '127.0.0.1', port: Number(new URL(this.url ?? 'http://unknown').port) };
  }

  /** Whether the balancer leads clients to it. */
  get isOpen(): boolean {
    const { state } = this.server.status;
    return (state === 'up' || state === 'paused') && this.misses < MISSES_MAX && this.report?.isReady !== false;
  }

  status(furthest: string): NodeStatus {
    const { state, pid, restarts, upMs } = this.server.status;
    const { sessions = 0, instances = [] } = this.report ?? {};
    return { state: state === 'up' ? this.#judge(furthest) : state, pid, restarts, upMs, sessions, instances };
  }

  async ask(channel: string): Promise<void> {
    const { state, pid } = this.server.status;
    if (this.url === undefined || (state !== 'up' && state !== 'paused')) return;
    const report = await askNode(this.url, channel);
    // Another process has taken its place while it was asked.
    if (this.server.status.pid !== pid) return;
    this.misses = report === undefined ? this.misses + 1 : 0;
    if (report !== undefined) this.report = report;
  }

  /** Nobody is connected to it any more. */
  forget(): void {
    this.report = undefined;
  }

  #judge(furthest: string): NodeState {
    if (this.misses >= MISSES_MAX) return 'silent';
    if (this.report?.isLogUp === false) return 'log down';
    const { place } = this.report ?? { place: furthest };
    return later(place, furthest) === place ? 'up' : 'behind';
  }
}

/** The later of two places of one channel; of two lives of a log (CUR-6) nothing can be said, the first one stands. */
function later(a: string, b: string): string {
  if (a === '' || b === '') return a === '' ? b : a;
  return a.split('.')[0] === b.split('.')[0] && b > a ? b : a;
}
