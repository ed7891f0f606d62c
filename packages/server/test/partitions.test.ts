/** A server on a Redis Cluster one of whose members is gone: what its clients, its health and its metrics say (CLS-1, HTTP-11). */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join as joinPath } from 'node:path';
import { test } from 'node:test';
import { createServer, type LogLine } from 'tideway';
import { redis } from '../../../scripts/brokers/redis.ts';
import { startRedisCluster } from '../../../scripts/brokers/redis-cluster.ts';
import { requireService } from '../../../scripts/services.ts';
import { partitionOfChannel } from '../src/log/broker/native-record.ts';
import { join, type Peer } from './peer.ts';
import { scrape } from './scrape.ts';

const PARTITIONS = 8;
const WAIT = { timeout: 60_000, interval: 20 };

test('a member of a Redis Cluster is gone: its channels are refused and their followers told, the others go on', async (t) => {
  if (!requireService(t, 'redis-server', redis.missing() === undefined)) return;
  const members = await startRedisCluster(3, { settings: { 'cluster-require-full-coverage': 'no' } });
  t.after(() => Promise.all(members.map((member) => member.stop())));
  const data = await mkdtemp(joinPath(tmpdir(), 'tideway-partitions-'));
  const lines: LogLine[] = [];
  const server = await createServer({
    log: `redis://${members.map(({ port }) => `127.0.0.1:${port}`).join()}`,
    data,
    namespaces: { chat: { subscribe: 'anyone', append: 'anyone', history: 'anyone' } },
    logger: (line) => lines.push(line),
  });
  const { url, port } = await server.listen({ port: 0 });
  t.after(async () => {
    await server.close({ drainMs: 0 });
    await rm(data, { recursive: true, force: true });
  });

  const memberOf = (partition: number) => {
    const slot = Number(members[0]!.cli('CLUSTER', 'KEYSLOT', `{tideway:${partition}}:records`));
    return members[Math.floor(slot / (16_384 / members.length))]!;
  };
  const channelIn = (wanted: (partition: number) => boolean): string => {
    for (let n = 0; ; n++) if (wanted(partitionOfChannel(`chat:${n}`, PARTITIONS))) return `chat:${n}`;
  };
  const gone = memberOf(0);
  const lost = Array.from({ length: PARTITIONS }, (_, n) => n).filter((n) => memberOf(n) === gone);
  const [away, well] = [channelIn((n) => lost.includes(n)), channelIn((n) => !lost.includes(n))];

  const [there, elsewhere, writer] = [await join(t, port), await join(t, port), await join(t, port)];
  await there.ask(t, { op: 'subscribe', id: 2, channel: away });
  await elsewhere.ask(t, { op: 'subscribe', id: 2, channel: well });
  let id = 10;
  const append = (channel: string) =>
    writer.ask(t, { op: 'append', id: ++id, channel, rid: `r${id}`, restart: true }, '1');
  const told = ({ frames }: Peer): unknown[] => frames.flatMap(({ op, state }) => (op === 'log' ? [state] : []));
  const recordsOf = ({ frames }: Peer): number => frames.filter(({ op }) => op === 'record').length;
  const readyz = async (): Promise<object> => {
    const response = await fetch(`${url}/readyz`);
    const { log, partitionsDown } = (await response.json()) as Record<string, unknown>;
    return { status: response.status, log, partitionsDown };
  };
  for (const channel of [away, well]) assert.equal((await append(channel)).op, 'ok');
  assert.deepEqual(await readyz(), { status: 200, log: 'up', partitionsDown: undefined });

  await gone.kill();
  await t.waitFor(() => assert.deepEqual(told(there), ['down']), WAIT);
  const refused = await append(away);
  assert.deepEqual([refused.op, refused.code], ['error', 'not_durable']);
  assert.ok(typeof refused['retryMs'] === 'number');
  for (let n = 0; n < 20; n++) assert.equal((await append(well)).op, 'ok');
  await t.waitFor(() => assert.equal(recordsOf(elsewhere), 21), WAIT);
  const page = (await (await fetch(`${url}/v1/records?channel=${away}`)).json()) as { records: unknown[] };
  assert.equal(page.records.length, 1, 'reads go on');
  // Each of them is found out by its own connection.
  await t.waitFor(
    async () => assert.deepEqual(await readyz(), { status: 200, log: 'down', partitionsDown: lost }),
    WAIT,
  );
  const down = await scrape(url);
  for (let n = 0; n < PARTITIONS; n++) {
    assert.equal(down('tideway_log_partition_up', { partition: String(n) }), lost.includes(n) ? 0 : 1);
  }
  assert.equal(down('tideway_log_up'), 0);
  assert.deepEqual(lines.findLast(({ event }) => event === 'log.down')?.partitionsDown, lost);
  const stream = await fetch(`${url}/v1/events?channel=${away}`);
  const reader = stream.body!.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  while (!text.includes('event: log')) text += (await reader.read()).value ?? assert.fail(`the stream ended: ${text}`);
  assert.match(text, /event: ready[^]*event: log\ndata: \{"state":"down"\}/);
  await reader.cancel();

  await gone.restart();
  await t.waitFor(() => assert.deepEqual(told(there), ['down', 'up']), WAIT);
  await t.waitFor(
    async () => assert.deepEqual(await readyz(), { status: 200, log: 'up', partitionsDown: undefined }),
    WAIT,
  );
  assert.equal((await append(away)).op, 'ok');
  await t.waitFor(() => assert.equal(recordsOf(there), 2), WAIT);
  assert.deepEqual([told(elsewhere), told(writer)], [[], []]);
});
