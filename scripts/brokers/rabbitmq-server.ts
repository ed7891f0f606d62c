/**
 * The processes of one RabbitMQ: the Erlang machine, and the epmd by which such machines find each other. Both are
 * stopped by process id.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { hold } from '../leash.ts';
import type { Broker } from './broker.ts';
import { BrokerProcess, endChild } from './broker-process.ts';

export const SERVER = '/usr/lib/rabbitmq/bin/rabbitmq-server';
const CONTROL = '/usr/lib/rabbitmq/bin/rabbitmqctl';
export const EPMD = '/usr/bin/epmd';
/**
 * What RabbitMQ notes of the first stream of its life reaches its disk a little later: killed before that, it never
 * serves a stream again (3.10). So there is one from the beginning, and a start that makes it takes this longer.
 */
const FIRST_STREAM_MS = 1_000;

export interface RabbitmqPlace {
  readonly folder: string;
  readonly port: number;
  /** 0 without TLS. */
  readonly tlsPort: number;
  readonly distPort: number;
}

export class RabbitmqBroker extends BrokerProcess implements Broker {
  readonly port: number;
  readonly tlsPort: number;
  readonly #env: Readonly<Record<string, string>>;
  readonly #login: string;

  /** @param login `name:password` of the user of its addresses */
  constructor({ folder, port, tlsPort }: RabbitmqPlace, env: Readonly<Record<string, string>>, login: string) {
    super({ name: 'RabbitMQ', command: SERVER, args: [], env, folder, ready: /Server startup complete/ });
    this.port = port;
    this.tlsPort = tlsPort;
    this.#env = env;
    this.#login = login;
  }

  get url(): string {
    return this.urlOf('name=tideway');
  }

  /** An address with the first user, and this behind it. */
  urlOf(query: string): string {
    return `amqp://${this.#login}@127.0.0.1:${this.port}/?${query}`;
  }

  override async restart(): Promise<void> {
    const isFresh = !existsSync(join(this.folder, 'data'));
    await super.restart();
    if (isFresh) await settleFirstStream();
  }

  /** Runs RabbitMQ's own `rabbitmqctl` on it. */
  async control(...words: readonly string[]): Promise<void> {
    const child = spawn(CONTROL, words, { env: this.#env, stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    if (code !== 0) throw new Error(`rabbitmqctl ${words.join(' ')} ended with ${code}: ${said}`);
  }
}

export function settleFirstStream(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, FIRST_STREAM_MS));
}

/** By which the machines of one RabbitMQ find each other. Returns what ends it. */
export function startEpmd(env: Readonly<Record<string, string>>): () => Promise<void> {
  const epmd = spawn(EPMD, [], { env, stdio: 'ignore' });
  epmd.on('error', () => undefined);
  hold(epmd);
  return () => endChild(epmd, 'SIGKILL');
}
