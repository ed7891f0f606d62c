/**
 * Starts one broker, says where it is as a line of JSON, and stops it with its data when it is told to by SIGTERM, or
 * when its stdin ends: whoever started it is gone then. For the bench, and for who wants to try one:
 *
 *     node --conditions=tideway-source scripts/brokers/main.ts redis
 *     {"event":"ready","url":"redis://127.0.0.1:41234","pid":4711}
 *
 * With `--check` it only says `{"event":"found"}`, or `failed` with what is missing.
 *
 * With `--count TEXT` a counting proxy stands in front: `proxyPort` is its port, and the line `count` on stdin is
 * answered with what came through it.
 */
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import type { BrokerKind } from './broker.ts';
import { CountingProxy } from './counting-proxy.ts';
import { kafka } from './kafka.ts';
import { nats } from './nats.ts';
import { rabbitmq } from './rabbitmq.ts';
import { redis, startMeasured } from './redis.ts';

const kinds: readonly BrokerKind[] = [redis, nats, rabbitmq, kafka];

function say(event: Readonly<Record<string, unknown>>): void {
  console.log(JSON.stringify(event));
}

async function run(kind: BrokerKind, text: string | undefined): Promise<void> {
  const broker = await startMeasured(kind);
  const { hostname: host, port } = new URL(broker.url);
  const proxy = text === undefined ? undefined : await CountingProxy.listen({ host, port: Number(port) }, text);
  let isEnding = false;
  async function end(): Promise<void> {
    if (isEnding) return;
    isEnding = true;
    await proxy?.close();
    await broker.stop();
    process.exit();
  }
  process.on('SIGTERM', () => void end());
  process.on('SIGINT', () => void end());
  const lines = createInterface({ input: process.stdin });
  lines.on('close', () => void end());
  lines.on('line', (line) => {
    if (line === 'count' && proxy !== undefined) say({ event: 'count', ...proxy.counted });
  });
  say({ event: 'ready', url: broker.url, pid: broker.pid, ...(proxy === undefined ? {} : { proxyPort: proxy.port }) });
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { count: { type: 'string' }, check: { type: 'boolean' } },
});
const kind = kinds.find(({ name }) => name === positionals[0]);
try {
  if (kind === undefined) {
    throw new Error(`which broker? ${kinds.map(({ name }) => name).join(', ')}; got ${positionals[0] ?? 'none'}`);
  }
  const missing = kind.missing();
  if (missing !== undefined) throw new Error(`it is missing: ${missing}`);
  if (values.check === true) say({ event: 'found' });
  else await run(kind, values.count);
} catch (error) {
  say({ event: 'failed', reason: (error as Error).message });
  process.exitCode = 1;
}
