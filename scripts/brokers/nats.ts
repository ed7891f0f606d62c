/** A real nats-server with JetStream for tests and demos: alone or in a cluster, on loopback, stopped by process id. */
import { writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { freePorts } from '@tideway/verifier/free-ports';
import { heldFolder } from '../leash.ts';
import { type Broker, type BrokerKind, replicatedBroker } from './broker.ts';
import { BrokerProcess } from './broker-process.ts';
import { buildNatsServer, findNatsServer } from './nats-program.ts';

const GREETING_MS = 120_000;
/** Twice the largest record of the suites; the server's own default is 1 MiB. */
const PAYLOAD_BYTES_MAX = 8 * 1024 * 1024;

export interface NatsOptions {
  /** Lines of its `authorization` block. */
  readonly authorization?: string;
  /** PEM: speaks TLS only, and with `ca` asks clients for a certificate. */
  readonly tls?: { readonly cert: string; readonly key: string; readonly ca?: string };
  /** False: core NATS only. */
  readonly isJetStream?: boolean;
  readonly payloadBytesMax?: number;
  /** Syncs every write before its acknowledgement. */
  readonly isSynced?: boolean;
  /** Another program than the one that is found, such as an older one. */
  readonly program?: string;
  /** More lines of its configuration. */
  readonly more?: string;
}

/** One member; it was told all it needs in its folder. */
export class NatsBroker extends BrokerProcess implements Broker {
  readonly port: number;
  readonly #scheme: string;

  constructor(program: string, folder: string, port: number, isTls: boolean) {
    super({ name: 'nats-server', command: program, args: ['-c', 'nats.conf'], folder, ready: /Server is ready/ });
    this.port = port;
    this.#scheme = isTls ? 'nats+tls' : 'nats';
  }

  get url(): string {
    return this.urlOf('tideway');
  }

  /** An address with that name and query, without credentials. */
  urlOf(name: string, query = 'partitions=4'): string {
    return `${this.#scheme}://127.0.0.1:${this.port}/${name}?${query}`;
  }

  override async restart(): Promise<void> {
    await super.restart();
    await greeting(this.port);
  }
}

export interface NatsCluster {
  readonly url: string;
  readonly members: readonly NatsBroker[];
  urlOf(name: string, query?: string): string;
  stop(): Promise<void>;
}

export const nats: BrokerKind = {
  name: 'nats',
  missing,
  start: () => startNats(),
  startMembers: async () => replicatedBroker(await startNatsCluster()),
};

function missing(): string | undefined {
  return findNatsServer() === undefined ? 'nats-server (with Go: node scripts/brokers/nats-program.ts)' : undefined;
}

export async function startNats(options: NatsOptions = {}): Promise<NatsBroker> {
  const program = options.program ?? (await buildNatsServer());
  const [port] = (await freePorts(1)) as [number];
  return startMember(program, port, 'tideway-test', options);
}

/** Starts a JetStream cluster of three, or another odd number, and waits until it has a leader. */
export async function startNatsCluster(options: NatsOptions = {}, size = 3): Promise<NatsCluster> {
  const program = options.program ?? (await buildNatsServer());
  const ports = await freePorts(2 * size);
  const routePorts = ports.splice(size);
  const routes = routePorts.map((port) => `nats-route://127.0.0.1:${port}`).join(', ');
  const members = await Promise.all(
    ports.map((port, n) =>
      startMember(program, port, `n${n + 1}`, {
        ...options,
        more: `cluster { name: tideway-test, host: 127.0.0.1, port: ${routePorts[n]}, routes: [${routes}] }\n${options.more ?? ''}`,
      }),
    ),
  );
  await Promise.all(members.map((member) => member.said(/metadata leader/)));
  const urlOf = (name: string, query = `partitions=4&replicas=${size}`): string =>
    `nats://${ports.map((port) => `127.0.0.1:${port}`).join(',')}/${name}?${query}`;
  return {
    url: urlOf('tideway'),
    members,
    urlOf,
    async stop() {
      await Promise.all(members.map((member) => member.stop()));
    },
  };
}

async function startMember(
  program: string | undefined,
  port: number,
  name: string,
  options: NatsOptions,
): Promise<NatsBroker> {
  if (program === undefined) throw new Error(`${missing() ?? 'nats-server'} was not found`);
  const folder = await heldFolder('tideway-nats-');
  await writeSettings(folder, port, name, options);
  const broker = new NatsBroker(program, folder, port, options.tls !== undefined);
  await broker.restart();
  return broker;
}

async function writeSettings(folder: string, port: number, name: string, options: NatsOptions): Promise<void> {
  const place = (file: string): string => JSON.stringify(join(folder, file));
  const { authorization, tls, isJetStream = true, payloadBytesMax = PAYLOAD_BYTES_MAX, isSynced, more } = options;
  const lines = [`server_name: ${name}`, 'host: 127.0.0.1', `port: ${port}`, `max_payload: ${payloadBytesMax}`];
  if (isJetStream) {
    lines.push(`jetstream { store_dir: ${place('data')}, ${isSynced === true ? 'sync_interval: always' : ''} }`);
  }
  if (authorization !== undefined) lines.push(`authorization { ${authorization} }`);
  if (tls !== undefined) {
    await writeFile(join(folder, 'cert.pem'), tls.cert);
    await writeFile(join(folder, 'key.pem'), tls.key, { mode: 0o600 });
    if (tls.ca !== undefined) await writeFile(join(folder, 'ca.pem'), tls.ca);
    const asks = tls.ca === undefined ? '' : `, ca_file: ${place('ca.pem')}, verify: true`;
    lines.push(`tls { cert_file: ${place('cert.pem')}, key_file: ${place('key.pem')}${asks} }`);
  }
  if (more !== undefined) lines.push(more);
  await writeFile(join(folder, 'nats.conf'), `${lines.join('\n')}\n`);
}

/** Resolves when the server greets: it listens a moment before it says that it is ready, or after. */
function greeting(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port });
    socket.setTimeout(GREETING_MS, () => socket.destroy(new Error('nats-server does not greet')));
    socket.once('data', () => {
      socket.destroy();
      resolve();
    });
    socket.once('error', reject);
  });
}
