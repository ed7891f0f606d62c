/** The brokers that the demo can start by itself, by scheme. */
import type { BrokerProgram } from './demo-broker-program.ts';
import { kafka } from './demo-kafka.ts';
import { rabbitmq } from './demo-rabbitmq.ts';

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

export const brokerPrograms: Readonly<Record<string, BrokerProgram>> = { redis, nats, amqp: rabbitmq, rabbitmq, kafka };
