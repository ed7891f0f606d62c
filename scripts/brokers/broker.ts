/** A broker that a test or a demo has started, whatever its kind: on loopback, on free ports, stopped by process id. */
export interface Broker {
  /** What `tideway serve --log` takes. */
  readonly url: string;
  /** Of the process that serves; another after `restart`. */
  readonly pid: number;
  /** SIGKILL, and waits until it is gone. Its data stays. */
  kill(): Promise<void>;
  /** SIGTERM, and waits until it is gone. Its data stays. */
  shutDown(): Promise<void>;
  /** SIGSTOP. */
  pause(): void;
  /** SIGCONT. */
  resume(): void;
  /** Starts it again on the same ports and data; resolves when it serves. */
  restart(): Promise<void>;
  /** Empties its data while it is stopped or killed: what a lost disk leaves. */
  wipe(): Promise<void>;
  /** Stops it cleanly and removes its data. */
  stop(): Promise<void>;
}

/** Several members: what is done to it is done to all of them. */
export interface ReplicatedBroker extends Broker {
  readonly members: readonly Broker[];
}

/** One that fails over to a replica that lacks records which were acknowledged. */
export interface StaleBroker extends ReplicatedBroker {
  /** Keeps the replica from anything that comes from now on. */
  detachReplica(): Promise<void>;
  /** Ends the primary for good, and the replica takes its place. */
  failOver(): Promise<void>;
}

export function replicatedBroker(cluster: {
  readonly url: string;
  readonly members: readonly Broker[];
  stop(): Promise<void>;
}): ReplicatedBroker {
  const { url, members } = cluster;
  const all = async (what: (member: Broker) => Promise<void>): Promise<void> => {
    await Promise.all(members.map(what));
  };
  return {
    url,
    members,
    get pid() {
      return members[0]?.pid ?? 0;
    },
    kill: () => all((member) => member.kill()),
    shutDown: () => all((member) => member.shutDown()),
    pause: () => members.forEach((member) => member.pause()),
    resume: () => members.forEach((member) => member.resume()),
    restart: () => all((member) => member.restart()),
    wipe: () => all((member) => member.wipe()),
    stop: () => cluster.stop(),
  };
}

/** How to start one; each kind has a file of its own beside this one with more options where it has some. */
export interface BrokerKind {
  readonly name: 'redis' | 'nats' | 'rabbitmq' | 'kafka';
  /** Why it cannot be started here, naming what to install; `undefined` when it can. */
  missing(): string | undefined;
  /** Starts one member. */
  start(): Promise<Broker>;
  /** Starts three members, each of which leads partitions. */
  startMembers(): Promise<ReplicatedBroker>;
  /** Absent where a majority chooses among those that have every record, whatever its settings. */
  startStale?(): Promise<StaleBroker>;
}

/** Starts one that a fault can be done to; `undefined` where there is none. */
export async function startFor(
  kind: BrokerKind,
  { needs }: { readonly needs?: 'members' | 'stale replica' },
): Promise<Broker | undefined> {
  if (needs === undefined) return kind.start();
  return needs === 'members' ? kind.startMembers() : kind.startStale?.();
}
