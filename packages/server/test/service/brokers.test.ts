import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Broker, BrokerKind } from '../../../../scripts/brokers/broker.ts';
import { kafka } from '../../../../scripts/brokers/kafka.ts';
import { nats } from '../../../../scripts/brokers/nats.ts';
import { rabbitmq } from '../../../../scripts/brokers/rabbitmq.ts';
import { redis } from '../../../../scripts/brokers/redis.ts';
import { assertPlacesOnlyGrow, DEADLINE, Handled, KEY, member, MemberProcess, startServer, Teller } from './rig.ts';

const CHANNELS = Array.from({ length: 40 }, (_, n) => `order:${n}`);

function skipOf(kind: BrokerKind): string | false {
  const missing = kind.missing();
  if (missing === undefined) return false;
  if (process.env['TIDEWAY_REQUIRE_SERVICES'] === '1') throw new Error(`${kind.name}: ${missing}`);
  return missing;
}

for (const kind of [redis, nats, rabbitmq, kafka]) {
  describe(`a group on ${kind.name} with four partitions and two nodes`, { skip: skipOf(kind) }, () => {
    let broker: Broker;
    let folder: string;

    before(async () => {
      folder = await mkdtemp(join(tmpdir(), 'tideway-group-'));
      broker = await kind.start();
    });
    after(async () => {
      await broker.stop();
      await rm(folder, { recursive: true, force: true });
    });

    test('a member is killed, another comes on another node: nothing is skipped, each channel in order', async (t) => {
      const log = `${broker.url}${broker.url.includes('?') ? '&' : '?'}partitions=4`;
      const nodes = [];
      for (const name of ['one', 'two']) nodes.push(await startServer(t, { log, data: join(folder, name) }));
      const [one, two] = nodes.map(({ url }) => url) as [string, string];
      const teller = new Teller(one);
      const handled = new Handled();
      const killed = new MemberProcess(t, 'killed', handled, { url: one, key: KEY });
      await killed.ready;
      const stays = member(t, 'stays', handled, { url: two });
      await stays.ready;
      const appending = teller.appendAll(CHANNELS, 40);
      await t.waitFor(() => {
        const by = handled.events.map((event) => event.by);
        assert.ok(by.filter((name) => name === 'killed').length > 100 && by.includes('stays'));
      }, DEADLINE);
      await killed.kill('SIGKILL');
      const later = member(t, 'later', handled, { url: one });
      await appending;
      await t.waitFor(() => assert.ok(handled.isComplete(CHANNELS.length, 40)), DEADLINE);
      handled.assertComplete(CHANNELS, 40);
      await t.waitFor(() => assert.deepEqual([stays.slots.length, later.slots.length], [32, 32]), DEADLINE);
      const states = await teller.states('stock');
      assertPlacesOnlyGrow(states);
      assert.equal(states.at(-1)?.slots[0]?.places.length, 4);
    });
  });
}
