import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { rabbitmq, startRabbitmq, type RabbitmqBroker } from '../../../../../scripts/brokers/rabbitmq.ts';
import { requireService } from '../../../../../scripts/services.ts';
import { BrokerLog } from '../broker/broker-log.ts';
import { provePlainClient } from '../broker/testing/plain-client.ts';
import { parseRabbitmqAddress } from './rabbitmq-address.ts';
import { RabbitmqPort } from './rabbitmq-port.ts';
import { soon } from './testing/rabbitmq-room.ts';

const PARTITIONS = 4;
const NAME = 'plain';
const client = join(import.meta.dirname, 'testing/plain-client.py');

let broker: RabbitmqBroker | undefined;
before(async () => {
  if (rabbitmq.missing() === undefined) broker = await startRabbitmq();
});
after(() => broker?.stop());

/** A Python that has pika: the first in the path need not be the one that Debian's package is for. */
function python(): string | undefined {
  return ['python3', '/usr/bin/python3'].find((program) => {
    try {
      execFileSync(program, ['-c', 'import pika'], { stdio: 'ignore' });
      return true;
    } catch {
      return false;
    }
  });
}

test('a client in Python, which knows the page about RabbitMQ only, appends records and reads ours', async (t) => {
  if (!requireService(t, rabbitmq.missing() ?? 'rabbitmq-server', broker)) return;
  const program = python();
  if (!requireService(t, 'python3 with pika (on Debian: apt-get install python3-pika)', program)) return;
  const url = broker.urlOf(`name=${NAME}`);
  const run = async (...words: string[]): Promise<string[]> => {
    const bare = url.slice(0, url.indexOf('?')).replace(/\/$/, '/%2F');
    const { stdout } = await promisify(execFile)(program, [client, bare, NAME, ...words], { timeout: 60_000 });
    return stdout.trim().split('\n');
  };
  const log = new BrokerLog({ port: new RabbitmqPort(parseRabbitmqAddress(url)), partitions: PARTITIONS });
  t.after(() => log.close());
  const proven = provePlainClient(log, {
    language: 'python',
    append: (channel, count) => run('append', channel, String(count)),
    read: (count) => run('read', String(count)),
    keyOf: String,
    assertTime: (time, n) => assert.equal(time, (1_764_000_000 + n) * 1_000),
  });
  await soon(proven, 'what Python appended and read');
});
