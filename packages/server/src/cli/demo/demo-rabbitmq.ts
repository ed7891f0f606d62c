/** How the demo starts a RabbitMQ of its own: a node name, ports, users and an epmd that no other one on the machine has. */
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { BrokerPlace, BrokerProgram } from './demo-broker-program.ts';

/** Debian's own command of this name is for root only, and starts this one. */
const DEBIAN = '/usr/lib/rabbitmq/bin/rabbitmq-server';
/**
 * What RabbitMQ notes of the first stream of its life reaches its disk a little later: killed before that, it never
 * serves a stream again (3.10). So there is one from the beginning, and its first start takes this longer.
 */
const FIRST_STREAM_MS = 1_000;

const definitions = {
  vhosts: [{ name: '/' }],
  queues: [{ name: 'first', vhost: '/', durable: true, auto_delete: false, arguments: { 'x-queue-type': 'stream' } }],
  users: [{ name: 'demo', password: 'demo', tags: '' }],
  permissions: [{ user: 'demo', vhost: '/', configure: '.*', write: '.*', read: '.*' }],
};

export const rabbitmq: BrokerProgram = {
  name: 'RabbitMQ',
  install: 'install it (Debian: apt-get install rabbitmq-server; macOS: brew install rabbitmq)',
  portCount: 3,
  ready: /Server startup complete/,
  command: () => [existsSync(DEBIAN) ? DEBIAN : 'rabbitmq-server'],
  helper: () => ['epmd'],
  environment({ folder, ports: [, distPort, epmdPort] }) {
    return {
      HOME: folder,
      // The script then becomes the server instead of waiting for it, so that its process is the one that is killed.
      RUNNING_UNDER_SYSTEMD: 'true',
      ERL_EPMD_PORT: String(epmdPort),
      ERL_EPMD_ADDRESS: '127.0.0.1',
      RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '-kernel inet_dist_use_interface {127,0,0,1}',
      RABBITMQ_NODENAME: 'demo@localhost',
      RABBITMQ_DIST_PORT: String(distPort),
      RABBITMQ_CONF_ENV_FILE: join(folder, 'none'),
      RABBITMQ_CONFIG_FILE: join(folder, 'rabbitmq.conf'),
      RABBITMQ_ADVANCED_CONFIG_FILE: join(folder, 'none.config'),
      RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, 'plugins'),
      RABBITMQ_MNESIA_BASE: join(folder, 'data'),
      RABBITMQ_LOG_BASE: join(folder, 'log'),
    };
  },
  async prepare({ folder, ports: [port] }: BrokerPlace) {
    const settings = [
      `listeners.tcp.1 = 127.0.0.1:${port}`,
      `load_definitions = ${join(folder, 'definitions.json')}`,
      'log.console = true',
      'log.file = false',
      'disk_free_limit.absolute = 50MB',
    ];
    await writeFile(join(folder, 'rabbitmq.conf'), `${settings.join('\n')}\n`);
    await writeFile(join(folder, 'definitions.json'), JSON.stringify(definitions));
    await writeFile(join(folder, 'plugins'), '[].\n');
    await writeFile(join(folder, '.erlang.cookie'), 'demo', { mode: 0o600 });
  },
  settle: () => delay(FIRST_STREAM_MS),
  address: ({ ports: [port] }) => `amqp://demo:demo@127.0.0.1:${port}/?name=demo`,
};
