/** The wire suite against nodes whose log is a broker: what a client sees does not depend on where records are kept. */
import { after, describe } from 'node:test';
import type { Broker } from '../../../../scripts/brokers/broker.ts';
import { nats } from '../../../../scripts/brokers/nats.ts';
import { redis } from '../../../../scripts/brokers/redis.ts';
import { wireTests } from './testing/wire-tests.ts';

for (const kind of [redis, nats]) {
  const missing = kind.missing();
  if (missing !== undefined && process.env['TIDEWAY_REQUIRE_SERVICES'] === '1') throw new Error(missing);
  describe(`on ${kind.name}`, { skip: missing ?? false }, () => {
    let broker: Broker | undefined;
    wireTests(`a node on ${kind.name}`, async () => {
      broker = await kind.start();
      return ['--log', broker.url, '--ping-ms', '3000', '--limits-appends-per-second', '3000'];
    });
    after(async () => broker?.stop());
  });
}
