/** The faults of the matrix: what is done to broker and nodes while clients write and read, and what may come of it. */
import { rest } from '../torture/stage.ts';
import type { Nodes } from './nodes.ts';

/** A broker that was started for the run, on loopback. */
export interface FaultyBroker {
  /** What `tideway serve --log` takes. */
  readonly url: string;
  kill(): Promise<void>;
  shutDown(): Promise<void>;
  pause(): void;
  resume(): void;
  /** On the same ports and data. */
  restart(): Promise<void>;
  /** Removes its data while it is down. */
  wipe(): Promise<void>;
  /** Absent where it is one alone. */
  readonly members?: readonly FaultyMember[];
  /** Keeps one replica from anything that comes from now on. */
  detachReplica?(): Promise<void>;
  /** Ends the primary for good, and that replica takes its place. */
  failOver?(): Promise<void>;
}

export type FaultyMember = Pick<FaultyBroker, 'kill' | 'pause' | 'resume' | 'restart'>;

export interface FaultWorld {
  readonly broker: FaultyBroker;
  readonly nodes: Nodes;
}

export interface Fault {
  readonly name: string;
  /** What is done, in words, for the matrix. */
  readonly what: string;
  /** Records that were acknowledged may be gone, and every reader is told so. */
  readonly mayDiverge?: true;
  /** Needs a proxy between node and broker. */
  readonly needsProxy?: true;
  /** Needs a broker of several members; or one of which a replica may lack what was acknowledged. */
  readonly needs?: 'members' | 'stale replica';
  readonly run: (world: FaultWorld) => Promise<void>;
}

/** Longer than any client of a broker takes to notice silence. */
const SILENT_MS = 15_000;
/** Longer than any broker takes to choose another leader, and a member to be in step again. */
const FAILOVER_MS = 12_000;
const HOUR_MS = 3_600_000;

function proxies({ nodes }: FaultWorld) {
  return nodes.all.flatMap(({ brokerProxy }) => brokerProxy ?? []);
}

export const faults: readonly Fault[] = [
  {
    name: 'nothing',
    what: 'clients move from node to node, nothing else',
    async run({ nodes }) {
      for (let n = 0; n < 6; n++) {
        await rest(700);
        nodes.shuffle();
      }
    },
  },
  {
    name: 'broker stopped',
    what: 'the broker is asked to stop (SIGTERM) and started again on its data after 3 s, twice',
    run: async ({ broker }) => startAgain(broker, () => broker.shutDown()),
  },
  {
    name: 'broker killed',
    what: 'the broker is killed (SIGKILL) and started again on its data after 3 s, twice',
    run: async ({ broker }) => startAgain(broker, () => broker.kill()),
  },
  {
    name: 'broker paused',
    what: `the broker is paused (SIGSTOP) for ${SILENT_MS / 1_000} s`,
    async run({ broker }) {
      broker.pause();
      await rest(SILENT_MS);
      broker.resume();
    },
  },
  {
    name: 'broker black-holed',
    what: `nothing passes between nodes and broker for ${SILENT_MS / 1_000} s, and no connection ends`,
    needsProxy: true,
    async run(world) {
      for (const proxy of proxies(world)) proxy.setFault({ freeze: true });
      await rest(SILENT_MS);
      for (const proxy of proxies(world)) proxy.setFault({});
    },
  },
  {
    name: 'broker connections cut',
    what: 'the connections between nodes and broker are cut every 700 ms, for 7 s',
    needsProxy: true,
    async run(world) {
      for (let n = 0; n < 10; n++) {
        await rest(700);
        for (const proxy of proxies(world)) proxy.cut();
      }
    },
  },
  {
    name: 'broker slow',
    what: 'what passes between nodes and broker is 150 ms late and in pieces of 500 bytes, for 8 s',
    needsProxy: true,
    async run(world) {
      for (const proxy of proxies(world)) proxy.setFault({ delayMs: 150, pieceBytes: 500 });
      await rest(8_000);
      for (const proxy of proxies(world)) proxy.setFault({});
    },
  },
  {
    name: 'broker emptied',
    what: 'the broker is killed and comes back without its data',
    mayDiverge: true,
    async run({ broker }) {
      await broker.kill();
      await broker.wipe();
      await broker.restart();
      await rest(4_000);
    },
  },
  {
    name: 'node killed',
    what: 'one node after the other is killed (SIGKILL) and started again on its data',
    async run({ nodes }) {
      for (const { server } of nodes.all) {
        await server.kill();
        nodes.balance();
        await rest(1_500);
        await server.start();
        nodes.balance();
        await rest(1_000);
      }
    },
  },
  {
    name: 'node paused',
    what: `a node is paused (SIGSTOP) for ${SILENT_MS / 1_000} s, longer than its heartbeats; its clients stay for 5 s`,
    async run({ nodes }) {
      const pid = nodes.all[0]?.server.pid;
      if (pid === undefined) throw new Error('the node does not run');
      process.kill(pid, 'SIGSTOP');
      try {
        await rest(5_000);
        nodes.shuffle();
        await rest(SILENT_MS - 5_000);
      } finally {
        process.kill(pid, 'SIGCONT');
      }
      await rest(1_000);
      nodes.shuffle();
    },
  },
  {
    name: 'node cut off',
    what: `nothing passes between one node and the broker for ${SILENT_MS / 1_000} s, its clients stay`,
    needsProxy: true,
    async run({ nodes }) {
      const proxy = nodes.all[0]?.brokerProxy;
      proxy?.setFault({ freeze: true });
      await rest(SILENT_MS);
      proxy?.setFault({});
    },
  },
  {
    name: 'rolling restart',
    what: 'one node after the other is asked to stop (SIGTERM) and started again',
    async run({ nodes }) {
      for (const { name, server } of nodes.all) {
        const stopped = server.stop();
        // What a balancer does when /readyz says 503.
        nodes.balance();
        const exit = await stopped;
        if (exit !== 0) throw new Error(`${name} ended with ${exit}:\n${server.lines.slice(-10).join('\n')}`);
        await server.start();
        nodes.balance();
        await rest(500);
      }
    },
  },
  {
    name: 'clocks skewed',
    what: 'the clocks of the nodes are an hour ahead, a day behind and a year ahead, change places after 3 s, and step back to what is right after 6 s',
    async run({ nodes }) {
      const offsets = [HOUR_MS, -24 * HOUR_MS, 365 * 24 * HOUR_MS];
      for (let turn = 0; turn < 2; turn++) {
        for (const [n, node] of nodes.all.entries()) await node.setClock(offsets[(n + turn) % offsets.length] ?? 0);
        await rest(1_500);
        nodes.shuffle();
        await rest(1_500);
      }
      for (const node of nodes.all) await node.setClock(0);
    },
  },
  {
    name: 'member killed',
    what: `of a broker with three members (of Redis, a Cluster without replicas) one after the other is killed (SIGKILL) and started again after ${FAILOVER_MS / 1_000} s`,
    needs: 'members',
    async run({ broker }) {
      for (const member of broker.members ?? []) {
        await member.kill();
        await rest(FAILOVER_MS);
        await member.restart();
        await rest(FAILOVER_MS);
      }
    },
  },
  {
    name: 'member paused',
    what: `of a broker with three members one is paused (SIGSTOP) for ${SILENT_MS / 1_000} s`,
    needs: 'members',
    async run({ broker }) {
      const [member] = broker.members ?? [];
      member?.pause();
      await rest(SILENT_MS);
      member?.resume();
    },
  },
  {
    name: 'stale replica',
    what: 'a replica gets nothing for 2 s, then the primary is killed for good and the replica takes its place: with Kafka where its topic allows that, with NATS and RabbitMQ never',
    mayDiverge: true,
    needs: 'stale replica',
    async run({ broker }) {
      await broker.detachReplica?.();
      await rest(2_000);
      await broker.failOver?.();
      await rest(FAILOVER_MS);
    },
  },
];

async function startAgain(broker: FaultyBroker, end: () => Promise<void>): Promise<void> {
  for (let n = 0; n < 2; n++) {
    await end();
    await rest(3_000);
    await broker.restart();
    await rest(3_000);
  }
}
