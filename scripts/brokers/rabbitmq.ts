/**
 * A real RabbitMQ for tests and demos: Debian's rabbitmq-server started by hand, with a node name, ports and an epmd of
 * its own, on loopback only, and stopped by process id. Streams need no plugin.
 */
import { accessSync, constants } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePorts } from '@tideway/verifier/free-ports';
import { heldFolder } from '../leash.ts';
import { type BrokerKind, replicatedBroker } from './broker.ts';
import { EPMD, RabbitmqBroker, type RabbitmqPlace, SERVER, settleFirstStream, startEpmd } from './rabbitmq-server.ts';

export type { RabbitmqBroker } from './rabbitmq-server.ts';

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
  return Object.assign(only, { stop });
}

/** Members of one cluster, with a replica of each stream on each. */
export async function startRabbitmqCluster(size = 3): Promise<RabbitmqCluster> {
  return startMembers({}, size);
}

async function startMembers(options: RabbitmqOptions, size: number): Promise<RabbitmqCluster> {
  const folder = await heldFolder('tideway-rabbitmq-');
  const [epmdPort, ...ports] = (await freePorts(1 + 3 * size)) as [number, ...number[]];
  const users = options.users ?? [everything];
  const { name, password } = users[0] as RabbitmqUser;
  const login = `${name}:${password}`;
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
    tlsPort: options.tls === undefined ? 0 : (ports[3 * n + 1] as number),
    distPort: ports[3 * n + 2] as number,
  }));
  const names = places.map(({ port }) => `tideway${port}@localhost`);
  const members = await Promise.all(
    places.map(async (place, n) => {
      const file = (name: string): string => join(place.folder, name);
      await mkdir(place.folder);
      await writeSettings(place, users, names, options.tls);
      const env = {
        ...shared,
        RABBITMQ_NODENAME: names[n] as string,
        RABBITMQ_DIST_PORT: String(place.distPort),
        RABBITMQ_CONF_ENV_FILE: file('none'),
        RABBITMQ_CONFIG_FILE: file('rabbitmq.conf'),
        RABBITMQ_ADVANCED_CONFIG_FILE: file('none.config'),
        RABBITMQ_ENABLED_PLUGINS_FILE: file('plugins'),
        RABBITMQ_MNESIA_BASE: file('data'),
        RABBITMQ_LOG_BASE: file('log'),
      };
      return new RabbitmqBroker(place, env, login);
    }),
  );
  const stop = async (): Promise<void> => {
    await Promise.all(members.map((member) => member.shutDown()));
    await endEpmd();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await Promise.all(members.map((member) => member.restart()));
    if (size > 1) {
      // What keeps account of the streams is made with the first one, on the members that are there by then.
      await writeFile(join(folder, 'first.json'), JSON.stringify({ queues: [firstStream] }));
      await members[0]?.control('import_definitions', join(folder, 'first.json'));
      await settleFirstStream();
    }
  } catch (error) {
    await stop();
    throw error;
  }
  const hosts = places.map(({ port }) => `127.0.0.1:${port}`).join(',');
  const urlOf = (query: string): string => `amqp://${login}@${hosts}/?${query}`;
  return { members, urlOf, stop };
}

async function writeSettings(
  { folder, port, tlsPort }: RabbitmqPlace,
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
