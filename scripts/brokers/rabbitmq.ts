/**
 * A real RabbitMQ for tests and demos: Debian's rabbitmq-server started by hand, with a node name, ports and an epmd of
 * its own, on loopback only, and stopped by process id. Streams need no plugin.
 */
import { accessSync, constants } from 'node:fs';
import { cp, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePorts } from '@tideway/verifier/free-ports';
import { heldFolder } from '../leash.ts';
import { type Broker, type BrokerKind, replicatedBroker } from './broker.ts';
import { pauseProcess } from './pause.ts';
import { EPMD, RabbitmqServer, SERVER, settleFirstStream, startEpmd } from './rabbitmq-server.ts';

export interface RabbitmqUser {
  readonly name: string;
  readonly password: string;
  /** Patterns of what it may configure, write and read in the virtual host `/`; without them it may not enter. */
  readonly may?: readonly [configure: string, write: string, read: string];
}

export interface RabbitmqOptions {
  /** The first one is the one of `url`; by default one that may do everything. */
  readonly users?: readonly RabbitmqUser[];
  /** PEM: listens with TLS, too. */
  readonly tls?: { readonly cert: string; readonly key: string };
}

export interface RabbitmqBroker extends Broker {
  readonly port: number;
  /** 0 without TLS. */
  readonly tlsPort: number;
  /** An address with the first user, and another name behind it. */
  urlOf(query: string): string;
  /** Runs RabbitMQ's own `rabbitmqctl` on it. */
  control(...words: readonly string[]): Promise<void>;
  /** Keeps a copy of its data, or puts that copy back; only while it is killed. */
  saveData(): Promise<void>;
  restoreData(): Promise<void>;
}

export interface RabbitmqCluster {
  readonly members: readonly RabbitmqBroker[];
  /** An address with all members, the first user, and this behind it. */
  urlOf(query: string): string;
  stop(): Promise<void>;
}

const firstStream = {
  name: 'first',
  vhost: '/',
  durable: true,
  auto_delete: false,
  arguments: { 'x-queue-type': 'stream' },
};
const everything: RabbitmqUser = { name: 'tideway', password: 'not-a-secret', may: ['.*', '.*', '.*'] };

export const rabbitmq: BrokerKind = {
  name: 'rabbitmq',
  missing,
  start: () => startRabbitmq(),
  async startMembers() {
    const { members, urlOf, stop } = await startRabbitmqCluster();
    return replicatedBroker({ url: urlOf('name=tideway'), members, stop });
  },
};

function missing(): string | undefined {
  for (const program of [SERVER, EPMD]) {
    try {
      accessSync(program, constants.X_OK);
    } catch {
      return `rabbitmq-server (${program}; on Debian: apt-get install rabbitmq-server)`;
    }
  }
  return undefined;
}

export async function startRabbitmq(options: RabbitmqOptions = {}): Promise<RabbitmqBroker> {
  const { members, stop } = await startMembers(options, 1);
  const [only] = members as [RabbitmqBroker];
  return Object.defineProperties(only, { stop: { value: stop } });
}

/** Members of one cluster, with a replica of each stream on each. */
export async function startRabbitmqCluster(size = 3): Promise<RabbitmqCluster> {
  return startMembers({}, size);
}

async function startMembers(options: RabbitmqOptions, size: number): Promise<RabbitmqCluster> {
  const folder = await heldFolder('tideway-rabbitmq-');
  const [epmdPort, ...ports] = (await freePorts(1 + 3 * size)) as [number, ...number[]];
  const users = options.users ?? [everything];
  const shared = {
    HOME: folder,
    LANG: 'C.UTF-8',
    PATH: process.env['PATH'] ?? '',
    // The script then becomes the server instead of waiting for it, so that its process id is ours.
    RUNNING_UNDER_SYSTEMD: 'true',
    ERL_EPMD_PORT: String(epmdPort),
    ERL_EPMD_ADDRESS: '127.0.0.1',
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '-kernel inet_dist_use_interface {127,0,0,1}',
  };
  await writeFile(join(folder, '.erlang.cookie'), 'tideway', { mode: 0o400 });
  const endEpmd = startEpmd(shared);
  const places = Array.from({ length: size }, (_, n) => ({
    folder: join(folder, String(n)),
    port: ports[3 * n] as number,
    tlsPort: ports[3 * n + 1] as number,
    distPort: ports[3 * n + 2] as number,
  }));
  const names = places.map(({ port }) => `tideway${port}@localhost`);
  const members = await Promise.all(
    places.map(async (place, n) => {
      const file = (name: string): string => join(place.folder, name);
      await mkdir(place.folder);
      await writeSettings(place, users, names, options.tls);
      const server = new RabbitmqServer(place.folder, {
        ...shared,
        RABBITMQ_NODENAME: names[n] as string,
        RABBITMQ_DIST_PORT: String(place.distPort),
        RABBITMQ_CONF_ENV_FILE: file('none'),
        RABBITMQ_CONFIG_FILE: file('rabbitmq.conf'),
        RABBITMQ_ADVANCED_CONFIG_FILE: file('none.config'),
        RABBITMQ_ENABLED_PLUGINS_FILE: file('plugins'),
        RABBITMQ_MNESIA_BASE: file('data'),
        RABBITMQ_LOG_BASE: file('log'),
      });
      return memberOf(server, place, users[0] as RabbitmqUser, options.tls !== undefined);
    }),
  );
  const stop = async (): Promise<void> => {
    await Promise.all(members.map(({ server }) => server.end('SIGTERM')));
    await endEpmd();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await Promise.all(members.map(({ server }) => server.start()));
    if (size > 1) {
      // What keeps account of the streams is made with the first one, on the members that are there by then.
      await writeFile(join(folder, 'first.json'), JSON.stringify({ queues: [firstStream] }));
      await members[0]?.server.control(['import_definitions', join(folder, 'first.json')]);
      await settleFirstStream();
    }
  } catch (error) {
    await stop();
    throw error;
  }
  const { name, password } = users[0] as RabbitmqUser;
  const hosts = places.map(({ port }) => `127.0.0.1:${port}`).join(',');
  const urlOf = (query: string): string => `amqp://${name}:${password}@${hosts}/?${query}`;
  return { members: members.map(({ broker }) => broker), urlOf, stop };
}

function memberOf(
  server: RabbitmqServer,
  { folder, port, tlsPort }: { readonly folder: string; readonly port: number; readonly tlsPort: number },
  { name, password }: RabbitmqUser,
  isTls: boolean,
): { readonly server: RabbitmqServer; readonly broker: RabbitmqBroker } {
  const urlOf = (query: string): string => `amqp://${name}:${password}@127.0.0.1:${port}/?${query}`;
  const [data, saved] = [join(folder, 'data'), join(folder, 'saved')];
  const broker: RabbitmqBroker = {
    url: urlOf('name=tideway'),
    port,
    tlsPort: isTls ? tlsPort : 0,
    urlOf,
    get pid() {
      return server.pid;
    },
    kill: () => server.end('SIGKILL'),
    shutDown: () => server.end('SIGTERM'),
    pause: () => pauseProcess(server.pid),
    resume: () => void process.kill(server.pid, 'SIGCONT'),
    restart: () => server.start(),
    control: (...words) => server.control(words),
    wipe: () => rm(data, { recursive: true, force: true }),
    saveData: () => cp(data, saved, { recursive: true }),
    async restoreData() {
      await rm(data, { recursive: true, force: true });
      await cp(saved, data, { recursive: true });
    },
    stop: () => server.end('SIGTERM'),
  };
  return { server, broker };
}

async function writeSettings(
  { folder, port, tlsPort }: { readonly folder: string; readonly port: number; readonly tlsPort: number },
  users: readonly RabbitmqUser[],
  names: readonly string[],
  tls: RabbitmqOptions['tls'],
): Promise<void> {
  const place = (name: string): string => join(folder, name);
  const settings = [
    `listeners.tcp.1 = 127.0.0.1:${port}`,
    'loopback_users = none',
    `load_definitions = ${place('definitions.json')}`,
    'log.console = true',
    'log.file = false',
    'disk_free_limit.absolute = 50MB',
  ];
  if (tls !== undefined) {
    await writeFile(place('cert.pem'), tls.cert);
    await writeFile(place('key.pem'), tls.key, { mode: 0o600 });
    settings.push(
      `listeners.ssl.1 = 127.0.0.1:${tlsPort}`,
      `ssl_options.cacertfile = ${place('cert.pem')}`,
      `ssl_options.certfile = ${place('cert.pem')}`,
      `ssl_options.keyfile = ${place('key.pem')}`,
      'ssl_options.verify = verify_none',
    );
  }
  if (names.length > 1) {
    settings.push(
      'cluster_formation.peer_discovery_backend = classic_config',
      ...names.map((name, n) => `cluster_formation.classic_config.nodes.${n + 1} = ${name}`),
      'cluster_partition_handling = pause_minority',
    );
  }
  const definitions = {
    vhosts: [{ name: '/' }],
    // Of several members the first one would be alone with it: see `startMembers`.
    queues: names.length > 1 ? [] : [firstStream],
    users: users.map(({ name, password }) => ({ name, password, tags: '' })),
    permissions: users.flatMap(({ name, may }) =>
      may === undefined ? [] : [{ user: name, vhost: '/', configure: may[0], write: may[1], read: may[2] }],
    ),
  };
  await writeFile(place('rabbitmq.conf'), `${settings.join('\n')}\n`);
  await writeFile(place('definitions.json'), JSON.stringify(definitions));
  await writeFile(place('plugins'), '[].\n');
}
