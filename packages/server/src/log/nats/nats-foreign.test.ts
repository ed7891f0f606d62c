import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { nats, startNats, type NatsBroker } from '../../../../../scripts/brokers/nats.ts';
import { requireService } from '../../../../../scripts/services.ts';
import { BrokerLog } from '../broker/broker-log.ts';
import { provePlainClient } from '../broker/testing/plain-client.ts';
import { parseNatsAddress } from './nats-address.ts';
import { NatsPort } from './nats-port.ts';
import { newName, within } from './testing/nats-room.ts';

const PARTITIONS = 4;
const client = join(import.meta.dirname, 'testing/plain-client.py');

let broker: NatsBroker | undefined;
before(async () => {
  if (nats.missing() === undefined) broker = await startNats();
});
after(() => broker?.stop());

function python(): string | undefined {
  try {
    execFileSync('python3', ['--version']);
    return 'python3';
  } catch {
    return undefined;
  }
}

async function run(...words: string[]): Promise<string[]> {
  const { stdout } = await promisify(execFile)('python3', [client, ...words], { timeout: 60_000 });
  return stdout.trim().split('\n');
}

test('a client in Python, which knows the page about NATS only, appends records and reads ours', async (t) => {
  if (!requireService(t, nats.missing() ?? 'nats-server', broker)) return;
  if (!requireService(t, 'python3', python())) return;
  const name = newName();
  const port = new NatsPort(parseNatsAddress(broker.urlOf(name, `partitions=${PARTITIONS}`)));
  const log = new BrokerLog({ port, partitions: PARTITIONS });
  t.after(() => log.close());
  const at = [String(broker.port), name, String(PARTITIONS)];
  const proven = provePlainClient(log, {
    language: 'python',
    append: (channel, count) => run(...at, 'append', channel, String(count)),
    read: () => run(...at, 'read'),
    keyOf: (n) => `k${n}`,
    assertTime: (time) => assert.ok(Math.abs((time ?? 0) - Date.now()) < 60_000),
  });
  await within(proven, 'what Python appended and read');
});
