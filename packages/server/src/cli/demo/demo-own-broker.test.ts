import assert from 'node:assert/strict';
import { symlink } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { test } from 'node:test';
import { connect } from '@tideway/client';
import { createServer } from 'tideway';
import { kafkaJars } from '../../../../../scripts/brokers/kafka-jars.ts';
import { kafka } from '../../../../../scripts/brokers/kafka.ts';
import { findNatsServer } from '../../../../../scripts/brokers/nats-program.ts';
import { nats } from '../../../../../scripts/brokers/nats.ts';
import { rabbitmq } from '../../../../../scripts/brokers/rabbitmq.ts';
import { redis } from '../../../../../scripts/brokers/redis.ts';
import { requireService } from '../../../../../scripts/services.ts';
import { createLog } from '../../log/registry.ts';
import { temporaryFolder } from '../testing/cli-rig.ts';
import { openBroker } from './demo-brokers.ts';
import { DemoLeash } from './demo-leash.ts';

const schemes = [
  ['redis', redis],
  ['nats', nats],
  ['amqp', rabbitmq],
  ['kafka', kafka],
] as const;

// As on a machine that has all of them; looked for before this process says where they are.
const jars = kafkaJars();
const missing = new Map(schemes.map(([scheme, kind]) => [scheme, kind.missing()]));
process.env['PATH'] = [dirname(findNatsServer() ?? ''), process.env['PATH']].join(delimiter);

for (const [scheme, kind] of schemes) {
  test(`${scheme}: starts a broker that has after a kill -9 what it had before`, { timeout: 240_000 }, async (t) => {
    if (!requireService(t, missing.get(scheme) ?? kind.name, missing.get(scheme) === undefined)) return;
    const folder = await temporaryFolder(t);
    await symlink(jars, join(folder, 'libs'));
    process.env['KAFKA_HOME'] = folder;

    const leash = new DemoLeash();
    t.after(() => leash.release());
    let changes = 0;
    const options = { log: `${scheme}:`, folder: join(folder, 'broker'), leash, onChange: () => changes++ };
    const broker = await openBroker(options);
    t.after(() => broker.close());
    const server = await createServer({
      log: broker.address,
      data: join(folder, 'node'),
      development: true,
      logger: () => {},
    });
    t.after(() => server.close({ drainMs: 0 }));
    const { url } = await server.listen({ port: 0 });
    const client = connect({ url });
    t.after(() => client.close());
    const channel = client.channel('chat:a');
    for (let n = 0; n < 20; n++) await channel.append(n);

    const { pid } = broker.status;
    await broker.stop();
    assert.deepEqual([broker.status.state, broker.status.pid], ['down', undefined]);
    const waiting = channel.append('waiting');
    await broker.start();
    assert.equal(broker.status.state, 'up');
    assert.notEqual(broker.status.pid, pid);
    assert.ok(changes >= 3, 'down, starting and up are told');
    await waiting;
    const { records } = await channel.history({ limit: 100 });
    assert.deepEqual(
      records.map(({ data }) => data),
      [...Array(20).keys(), 'waiting'],
    );
  });
}

test('the demo’s Redis answers when it has synced: no kill loses what was stored, however slow the disk is', async (t) => {
  if (!requireService(t, missing.get('redis') ?? redis.name, missing.get('redis') === undefined)) return;
  const leash = new DemoLeash();
  t.after(() => leash.release());
  const folder = join(await temporaryFolder(t), 'broker');
  const broker = await openBroker({ log: 'redis:', folder, leash, onChange: () => {} });
  t.after(() => broker.close());
  const log = await createLog(broker.address);
  t.after(() => log.close());
  await log.open();
  assert.match(log.declares.storedSurvives, /the end of the Redis process and of its machine/);
});
