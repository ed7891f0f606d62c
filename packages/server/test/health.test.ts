import assert from 'node:assert/strict';
import { join as joinPath } from 'node:path';
import { test, type TestContext } from 'node:test';
import { createServer, type LogLine, type ServerOptions } from '../src/index.ts';
import { SmallDisk } from '../src/view/testing/small-disk.ts';
import { DEADLINE, join } from './peer.ts';
import { scrape } from './scrape.ts';

const MIB = 1024 * 1024;

async function start(t: TestContext, options: ServerOptions) {
  const lines: LogLine[] = [];
  const server = await createServer({
    logger: (line) => void lines.push(line),
    namespaces: { chat: { subscribe: 'anyone', append: 'anyone', history: 'anyone' } },
    ...options,
  });
  t.after(() => server.close({ drainMs: 0 }));
  const { url, port } = await server.listen({ port: 0 });
  const ask = async (path: string): Promise<{ status: number; body: Readonly<Record<string, unknown>> }> => {
    const response = await fetch(url + path);
    return { status: response.status, body: (await response.json()) as Readonly<Record<string, unknown>> };
  };
  const ready = async () => {
    const { status, body } = await ask('/readyz');
    return [status, body['status'], body['log']];
  };
  const append = async (data: string) => {
    const init = { method: 'POST', body: JSON.stringify(data) };
    const response = await fetch(`${url}/v1/records?channel=chat:1`, init);
    await response.arrayBuffer();
    return response.status;
  };
  return { server, url, port, lines, ask, ready, append };
}

test('on a full disk readyz stays 200 and says that the log is down, reads go on; with room it is up (HTTP-11)', async (t) => {
  const disk = await SmallDisk.mount(8 * MIB);
  if (typeof disk === 'string') return t.skip(disk);
  try {
    const { server, url, port, lines, ask, ready, append } = await start(t, { data: joinPath(disk.folder, 'data') });
    const logEvents = () => lines.filter(({ event }) => event.startsWith('log.'));
    assert.deepEqual(await ready(), [200, 'ready', 'up']);
    assert.equal(await append('before'), 201);
    const peer = await join(t, port);

    await disk.fill();
    for (let n = 0; n < 3; n++) assert.equal(await append('x'.repeat(10_000)), 503);
    assert.deepEqual(await ready(), [200, 'ready', 'down']);
    assert.equal((await ask('/healthz')).status, 200);
    const page = await ask('/v1/records?channel=chat:1');
    assert.deepEqual([page.status, (page.body['records'] as unknown[]).length], [200, 1]);
    const down = await scrape(url);
    assert.deepEqual([down('tideway_log_up'), down('tideway_log_down_total'), down('tideway_node_ready')], [0, 1, 1]);
    const [line, ...more] = logEvents();
    assert.deepEqual(more, [], 'said once, not for each record');
    assert.deepEqual([line?.level, line?.event, line?.stack], ['error', 'log.down', undefined]);
    assert.match(line?.message ?? '', /; its disk has \d{1,5} bytes left$/);
    await t.waitFor(() => assert.ok(peer.frames.some(({ op, state }) => op === 'log' && state === 'down')), DEADLINE);

    await disk.empty();
    await t.waitFor(async () => assert.equal(await append('after'), 201), DEADLINE);
    assert.deepEqual(await ready(), [200, 'ready', 'up']);
    const up = await scrape(url);
    assert.deepEqual([up('tideway_log_up'), up('tideway_log_down_total')], [1, 1]);
    assert.deepEqual(
      logEvents().map(({ event }) => event),
      ['log.down', 'log.up'],
    );
    await server.close({ drainMs: 0 });
  } finally {
    await disk.unmount();
  }
});

test('while it drains readyz is 503, so that nobody new is sent here; healthz stays 200 (HTTP-11)', async (t) => {
  const { server, url, port, ask, ready } = await start(t, { log: 'memory:' });
  const peer = await join(t, port);
  const closed = server.close({ drainMs: 60_000 });
  await t.waitFor(() => assert.ok(peer.frames.some(({ op }) => op === 'drain')), DEADLINE);
  assert.deepEqual(await ready(), [503, 'draining', 'up']);
  assert.equal((await ask('/healthz')).status, 200);
  const draining = await scrape(url);
  assert.deepEqual([draining('tideway_node_draining'), draining('tideway_node_ready')], [1, 0]);
  peer.socket.terminate();
  await closed;
  await assert.rejects(ready(), 'closed');
});
