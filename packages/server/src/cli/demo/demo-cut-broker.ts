/** A broker that is not the demo's: the nodes reach it through a port of the demo, which can be closed. */
import { connect } from 'node:net';
import { nodeEnv } from '../../env.ts';
import { parseLogAddress, type LogAddress } from '../../log/registry.ts';
import { CliError, exitCodes } from '../exit-codes.ts';
import type { BrokerStatus, DemoBroker } from './demo-broker.ts';
import { Relay, type Endpoint } from './demo-relay.ts';

/** Where a broker is, or why no port of ours can stand before it. */
type Behind = Endpoint | { readonly refusal: string };

export interface CutBrokerOptions {
  readonly log: string;
  readonly behind: Behind;
  readonly onChange: () => void;
}

const names: Readonly<Record<LogAddress['driver'], string>> = {
  memory: 'memory',
  embedded: 'disk',
  redis: 'Redis',
  nats: 'NATS',
  rabbitmq: 'RabbitMQ',
  kafka: 'Kafka',
};
const CONNECT_MS = 3_000;
const ANSWER_MS = 3_000;

export class CutBroker implements DemoBroker {
  readonly address: string;
  readonly #options: CutBrokerOptions;
  readonly #relay: Relay | undefined;

  private constructor(options: CutBrokerOptions, relay: Relay | undefined) {
    this.#options = options;
    this.#relay = relay;
    this.address = relay === undefined ? options.log : through(options.log, relay.port);
  }

  static async open(options: CutBrokerOptions): Promise<CutBroker> {
    const { behind } = options;
    if ('refusal' in behind) return new CutBroker(options, undefined);
    const relay = new Relay(() => [behind]);
    await relay.open();
    return new CutBroker(options, relay);
  }

  get status(): BrokerStatus {
    const { log, behind } = this.#options;
    const address = parseLogAddress(log);
    return {
      name: names[address.driver],
      place: endpointsOf(address)
        .map(({ host, port }) => `${host}:${port}`)
        .join(', '),
      state: this.#relay?.isOpen === false ? 'down' : 'up',
      pid: undefined,
      isOwn: false,
      refusal: 'refusal' in behind ? behind.refusal : undefined,
    };
  }

  async stop(): Promise<void> {
    await this.#relay?.shut();
    this.#options.onChange();
  }

  async start(): Promise<void> {
    await this.#relay?.open();
    this.#options.onChange();
  }

  async close(): Promise<void> {
    await this.#relay?.shut();
  }
}

/**
 * Where the broker of an address is.
 *
 * @throws CliError when nobody answers there
 */
export async function endpointBehind(log: string): Promise<Behind> {
  const address = parseLogAddress(log);
  const endpoints = endpointsOf(address);
  const [endpoint] = endpoints;
  if (endpoint === undefined || endpoints.length > 1) {
    return { refusal: 'its address names several servers, and the demo can stand before one only' };
  }
  if (/^(?:rediss|amqps|[a-z]+\+tls):/i.test(log)) {
    return { refusal: 'with TLS it proves its own name, which a port of the demo does not have' };
  }
  await answers(endpoint);
  if (address.driver === 'redis' && (await isCluster(address.at))) {
    return { refusal: 'the members of a Redis Cluster tell the nodes their own addresses, past any port of the demo' };
  }
  return endpoint;
}

function endpointsOf(address: LogAddress): readonly Endpoint[] {
  switch (address.driver) {
    case 'redis':
    case 'rabbitmq':
      return address.at.hosts;
    case 'kafka':
      return address.at.brokers;
    case 'nats':
      return address.at.hosts.map((host) => {
        const { hostname, port } = new URL(`tcp://${host}`);
        return { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port) };
      });
    case 'memory':
    case 'embedded':
      return [];
    default:
      return address satisfies never;
  }
}

/** The same log, reached at a port of this machine. */
function through(log: string, port: number): string {
  const [, before = '', , behind = ''] = /^([a-z+]+:\/\/(?:[^@/?#]*@)?)([^/?#]*)(.*)$/i.exec(log) ?? [];
  const address = `${before}127.0.0.1:${port}${behind}`;
  // A broker of Kafka tells its own address to whoever asks, past this port.
  if (!/^kafka:/i.test(log) || /[?&]advertised=/.test(behind)) return address;
  return `${address}${behind.includes('?') ? '&' : '?'}advertised=ignore`;
}

function answers({ host, port }: Endpoint): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, timeout: CONNECT_MS });
    const fail = (why: string): void => {
      socket.destroy();
      const hint = 'start the broker, or give the scheme alone, such as --log redis:, and the demo starts one itself';
      reject(new CliError(exitCodes.unreachable, `nobody answers at ${host}:${port}: ${why}`, hint));
    };
    socket.once('connect', () => {
      socket.destroy();
      resolve();
    });
    socket.once('timeout', () => fail(`no connection within ${CONNECT_MS / 1_000} s`));
    socket.once('error', (error: NodeJS.ErrnoException) => fail(error.code ?? error.message));
  });
}

/** Asked as a node asks. */
async function isCluster(at: Extract<LogAddress, { driver: 'redis' }>['at']): Promise<boolean> {
  const { findMember } = await import('../../log/redis/redis-members.ts');
  try {
    const { connection, info } = await findMember(at, { answerMs: ANSWER_MS, probeMs: ANSWER_MS }, nodeEnv);
    connection.kill();
    return info.get('cluster_enabled') === '1';
  } catch (error) {
    throw new CliError(exitCodes.failed, (error as Error).message);
  }
}
