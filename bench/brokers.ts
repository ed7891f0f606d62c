/**
 * Real brokers as processes of the bench (scripts/brokers), their own clients beside them, and nodes of Tideway on them.
 * Logs have one partition, so that a bare client and a node read the same: one stream, from one end to the other.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { Child } from './child.ts';
import { missingCompiler } from './floors/compile.ts';
import type { LogClientOptions } from './peers/logs/log-client.ts';
import { missingTideway, startTideway, type Tideway, type TidewayOptions } from './tideway.ts';

export const brokerKinds = ['redis', 'nats', 'rabbitmq', 'kafka'] as const;
export type BrokerName = (typeof brokerKinds)[number];

export const brokerTitles: Readonly<Record<BrokerName, string>> = {
  redis: 'Redis',
  nats: 'NATS',
  rabbitmq: 'RabbitMQ',
  kafka: 'Kafka',
};

const program = ['--conditions=tideway-source', join(import.meta.dirname, '..', 'scripts', 'brokers', 'main.ts')];
const logClient = join(import.meta.dirname, 'peers', 'logs', 'log-client.ts');

/** A start of Kafka on two busy cores. */
const READY_MS = 120_000;
const STOP_MS = 60_000;

export interface BenchBroker {
  readonly kind: BrokerName;
  readonly pid: number;
  /** As its own client takes it. */
  readonly url: string;
  /** Of a log on it, as `--log` takes it. */
  logAddress(name: string): string;
  /** The same, through a proxy that counts; only where a text to count was given. */
  countedAddress(name: string): string;
  /** What the broker sent through the proxy so far: bytes, and how often the text came by. */
  counted(): Promise<{ readonly bytes: number; readonly texts: number }>;
  stop(): Promise<void>;
}

/** @param text what a counting proxy in front of it looks for in what it sends */
export async function startBroker(kind: BrokerName, text?: string): Promise<BenchBroker> {
  const args = [...program, kind, ...(text === undefined ? [] : ['--count', text])];
  const child = new Child(process.execPath, args, { name: brokerTitles[kind], endsWithStdin: true });
  const ready = await child.next('ready', READY_MS);
  const url = String(ready['url']);
  const address = (name: string, port?: number): string => {
    const at = new URL(url);
    if (port !== undefined) at.port = String(port);
    if (kind === 'rabbitmq') at.searchParams.set('name', name);
    else at.pathname = `/${name}`;
    at.searchParams.set('partitions', '1');
    return at.href;
  };
  return {
    kind,
    pid: Number(ready['pid']),
    url,
    logAddress: address,
    countedAddress: (name) => address(name, Number(ready['proxyPort'])),
    async counted() {
      child.send('count');
      const { bytes, texts } = await child.next('count');
      return { bytes: Number(bytes), texts: Number(texts) };
    },
    stop: () => child.stop(STOP_MS),
  };
}

/** A broker that is started when it is first asked for and serves all measurements of a case. */
export class SharedBroker {
  readonly #kind: BrokerName;
  readonly #text: string | undefined;
  #starting: Promise<BenchBroker> | undefined;
  #names = 0;

  constructor(kind: BrokerName, text?: string) {
    this.#kind = kind;
    this.#text = text;
  }

  get(): Promise<BenchBroker> {
    this.#starting ??= startBroker(this.#kind, this.#text);
    return this.#starting;
  }

  /** A name for a log or stream that nobody had before. */
  newName(): string {
    return `bench${++this.#names}`;
  }

  async stop(): Promise<void> {
    const broker = await this.#starting?.catch(() => undefined);
    await broker?.stop();
  }
}

const missingReasons = new Map<BrokerName, string | undefined>();

/** Why nothing can be measured on a broker here; `undefined` when it can. */
export function missingBroker(kind: BrokerName): string | undefined {
  if (!missingReasons.has(kind)) {
    const { stdout } = spawnSync(process.execPath, [...program, kind, '--check'], { encoding: 'utf8' });
    const said = /"reason":"([^"]*)"/.exec(stdout)?.[1];
    missingReasons.set(kind, said);
  }
  return missingCompiler() ?? missingTideway() ?? missingReasons.get(kind);
}

/** Anyone may do what the bench does, on a node that is served as in production. */
const namespaces = { bench: { subscribe: 'anyone', append: 'anyone', history: 'anyone' } };

/** A node on that log; its view is empty unless a data folder is given. */
export function startNode(log: string, options: Pick<TidewayOptions, 'dataFolder'> = {}): Promise<Tideway> {
  return startTideway({
    ...options,
    command: 'serve',
    args: ['--log', log],
    env: { TIDEWAY_NAMESPACES: JSON.stringify(namespaces) },
  });
}

/** The broker's own client at work; resolves once it is connected. */
export async function startLogClient(options: LogClientOptions): Promise<Child> {
  const child = new Child(process.execPath, [logClient, JSON.stringify(options)], { name: `${options.kind} client` });
  await child.next('ready');
  return child;
}

/** Appends that many records through the broker's own client. */
export async function fillLog(options: Omit<LogClientOptions, 'work'>, records: number): Promise<void> {
  const child = await startLogClient({ ...options, work: { do: 'fill', records } });
  try {
    await child.next('done', 300_000);
  } finally {
    await child.stop();
  }
}
