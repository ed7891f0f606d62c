/** The brokers that the demo can start by itself: which program, with what, and what it says when it serves. */
import { kafka } from './demo-kafka.ts';
import { rabbitmq } from './demo-rabbitmq.ts';

export interface BrokerPlace {
  /** Of its data; also where it runs. */
  readonly folder: string;
  /** Free ones on loopback, the one for clients first. */
  readonly ports: readonly number[];
}

export interface BrokerProgram {
  readonly name: string;
  /** How to get it. */
  readonly install: string;
  /** How many ports it needs. */
  readonly portCount: number;
  /** A line of its talk that says that it serves. */
  readonly ready: RegExp;
  /** Program and arguments. */
  command(place: BrokerPlace): readonly string[];
  /** Its environment beside that of the demo. */
  environment?(place: BrokerPlace): Readonly<Record<string, string>>;
  /** Another program that must run beside it, and arguments. */
  helper?(place: BrokerPlace): readonly string[];
  /** What must be done before its first start. */
  prepare?(place: BrokerPlace): Promise<void>;
  /** What must be done after its first start. */
  settle?(): Promise<void>;
  /** What the nodes are given. */
  address(place: BrokerPlace): string;
}

const redis: BrokerProgram = {
  name: 'Redis',
  install: 'install it (Debian: apt-get install redis-server; macOS: brew install redis)',
  portCount: 1,
  ready: /Ready to accept connections/,
  command: ({ folder, ports: [port] }) => [
    'redis-server',
    ...['--bind', '127.0.0.1', '--port', String(port), '--dir', folder],
    // With `everysec` a kill could cost what a slow disk has not taken yet.
    ...['--appendonly', 'yes', '--appendfsync', 'always', '--save', ''],
  ],
  address: ({ ports: [port] }) => `redis://127.0.0.1:${port}/demo`,
};

const nats: BrokerProgram = {
  name: 'NATS',
  install: 'install it (Debian: apt-get install nats-server; macOS: brew install nats-server)',
  portCount: 1,
  ready: /Server is ready/,
  command: ({ folder, ports: [port] }) => [
    'nats-server',
    ...['--addr', '127.0.0.1', '--port', String(port), '--jetstream', '--store_dir', folder],
  ],
  address: ({ ports: [port] }) => `nats://127.0.0.1:${port}/demo`,
};

/** By scheme. */
export const brokerPrograms: Readonly<Record<string, BrokerProgram>> = { redis, nats, amqp: rabbitmq, rabbitmq, kafka };
