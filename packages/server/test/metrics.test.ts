import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join as joinPath } from 'node:path';
import { test, type TestContext } from 'node:test';
import { signWithSecret, TEST_SECRET } from '../src/auth/testing/signers.ts';
import { createServer, type ServerOptions } from '../src/index.ts';
import { type Metric, metricKeys, metricTable } from '../src/ops/metrics-table.ts';
import { DEADLINE, join, Peer } from './peer.ts';
import { moves, scrape } from './scrape.ts';

// Each metric moves for the reason that it names, on a real server; limits are in metrics-limits.test.ts.

const open = { subscribe: 'anyone', append: 'anyone', signal: 'anyone', history: 'anyone', admin: 'user' } as const;

async function start(t: TestContext, options: ServerOptions = {}) {
  const folder = await mkdtemp(joinPath(tmpdir(), 'tideway-metrics-'));
  const server = await createServer({
    data: folder,
    logger: () => {},
    auth: { jwt: { secret: TEST_SECRET } },
    namespaces: { chat: open, news: open, kept: { ...open, retention: { records: 10 } } },
    ...options,
  });
  t.after(async () => {
    await server.close({ drainMs: 0 });
    await rm(folder, { recursive: true });
  });
  const { url, port } = await server.listen({ port: 0 });
  const append = async (channel: string, ...payloads: string[]): Promise<string[]> => {
    const items = payloads.map((data) => ({ channel, data }));
    const response = await fetch(`${url}/v1/batch`, { method: 'POST', body: JSON.stringify(items) });
    const { results } = (await response.json()) as { results: { cursor: string }[] };
    return results.map(({ cursor }) => cursor);
  };
  return { server, url, port, append };
}

function tokenOf(user: string): Promise<string> {
  return signWithSecret({ sub: user, exp: Math.floor(Date.now() / 1000) + 600 });
}

test('a connection: its session, its hello, its frames, its end', async (t) => {
  const { url, port } = await start(t);
  const token = await tokenOf('ann');
  let peer: Peer | undefined;
  await moves(
    t,
    url,
    {
      'tideway_sessions{transport="websocket"}': 1,
      'tideway_sessions{transport="sse"}': 0,
      'tideway_sessions_opened_total{transport="websocket"}': 1,
      'tideway_hello_seconds_count{transport="websocket",result="ok"}': 1,
      tideway_frames_received_total: 1,
      tideway_bytes_received_total: 40,
      tideway_chunks_sent_total: 1,
      tideway_socket_writes_total: 1,
      tideway_bytes_sent_total: 40,
      tideway_token_refreshes_total: 0,
    },
    async () => (peer = await join(t, port, token)),
  );
  const ann = peer as Peer;
  await moves(t, url, { tideway_token_refreshes_total: 1 }, () => ann.ask(t, { op: 'token', id: 2, token }));
  await moves(t, url, { 'tideway_errors_total{code="channel_unknown"}': 1 }, () =>
    ann.ask(t, { op: 'subscribe', id: 3, channel: 'none:1' }),
  );
  await moves(t, url, { tideway_client_gaps_total: 2, tideway_client_duplicates_total: 3 }, () =>
    ann.send({ op: 'report', channel: 'chat:1', gaps: 2, duplicates: 3 }),
  );
  await moves(
    t,
    url,
    { 'tideway_sessions_closed_total{transport="websocket",code="peer"}': 1, tideway_sessions: -1 },
    () => ann.socket.terminate(),
  );
  const wrong = { op: 'hello', id: 1, instance: 'i', token: 'a.b.c' };
  await moves(t, url, { 'tideway_hello_seconds_count{result="unauthenticated"}': 1 }, async () => {
    const stranger = new Peer(port);
    t.after(() => stranger.socket.terminate());
    await new Promise((resolve) => stranger.socket.on('open', resolve));
    await stranger.ask(t, wrong);
  });
});

test('an append: its answer by namespace, and the write of the log that carried it', async (t) => {
  const { url, append } = await start(t);
  const post = async (headers: Record<string, string>, query = ''): Promise<void> => {
    const init = { method: 'POST', body: '1', headers };
    await (await fetch(`${url}/v1/records?channel=chat:1${query}`, init)).arrayBuffer();
  };
  await moves(
    t,
    url,
    {
      'tideway_appends_total{namespace="chat",result="stored"}': 20,
      'tideway_appends_total{namespace="news"}': 0,
      'tideway_append_seconds_count{namespace="chat"}': 20,
      tideway_log_commit_seconds_count: 1,
      tideway_log_batch_records_count: 1,
      tideway_log_batch_records_sum: 20,
      tideway_log_down_total: 0,
    },
    () => append('chat:1', ...Array.from({ length: 20 }, (_, n) => `${n}`)),
  );
  const { commits, records } = await (async () => {
    const now = await scrape(url);
    return { commits: now('tideway_log_batch_records_count'), records: now('tideway_log_batch_records_sum') };
  })();
  assert.ok(commits < records, 'what was sent together shares a write');
  const [cursor = ''] = await append('chat:1', 'x');
  await append('chat:1', 'y');
  await post({ 'idempotency-key': 'r', 'tideway-key': 'k' });
  await moves(t, url, { 'tideway_appends_total{namespace="chat",result="conflict"}': 1 }, () =>
    post({ 'tideway-key': 'k' }, `&expect=${cursor}`),
  );
  const now = await scrape(url);
  assert.equal(now('tideway_appends_in_flight'), 0);
  assert.deepEqual([now('tideway_log_up'), now('tideway_nodes')], [1, 1]);
  assert.equal(now('tideway_log_partition_up', { partition: '0' }), 1);
  assert.ok(now('tideway_rid_window_seconds') > 0);
});

test('a delivery: timed by namespace, once per channel and tick; catching up and slow readers', async (t) => {
  const { server, url, port, append } = await start(t, { limits: { outboxBytes: 16 * 1024 } });
  await append('chat:1', 'before');
  const peer = await join(t, port);
  await moves(
    t,
    url,
    { tideway_subscriptions: 1, tideway_channels: 1, 'tideway_catch_up_seconds_count{namespace="chat"}': 1 },
    () => peer.ask(t, { op: 'subscribe', id: 2, channel: 'chat:1', from: 'oldest' }),
  );
  await moves(
    t,
    url,
    {
      'tideway_delivery_seconds_count{namespace="chat"}': 1,
      'tideway_delivery_seconds_count{namespace="news"}': 0,
      tideway_records_delivered_total: 5,
      tideway_ring_bytes: 1,
    },
    async () => {
      await append('news:1', 'nobody follows');
      await append('chat:1', 'a', 'b', 'c', 'd', 'e');
    },
  );
  const sender = await join(t, port, await tokenOf('ann'));
  await moves(t, url, { tideway_signals_delivered_total: 1 }, () =>
    sender.send({ op: 'signal', channel: 'chat:1' }, '1'),
  );

  peer.socket.pause();
  const large = 'x'.repeat(200_000);
  await moves(
    t,
    url,
    {
      tideway_outbox_overflows_total: 1,
      tideway_outbox_paused_sessions: 1,
      tideway_outbox_bytes: 1,
      'tideway_limit_hits_total{limit="outboxBytes"}': 1,
    },
    async () => {
      for (let n = 0; n < 80; n++) await server.channel('chat:1').append(large);
    },
  );
  // A signal is dropped where a record would wait.
  await moves(t, url, { tideway_signals_dropped_total: 1 }, () =>
    sender.send({ op: 'signal', channel: 'chat:1' }, '1'),
  );
  await moves(
    t,
    url,
    { 'tideway_catch_up_seconds_count{namespace="chat"}': 1, tideway_outbox_paused_sessions: -1 },
    () => peer.socket.resume(),
  );
});

test('a call: its answer by method, and how long it took; one that no method takes is no call of a method', async (t) => {
  const { url } = await start(t, { calls: { 'cart.total': { call: 'user', handle: () => 1 } } });
  const call = async (method: string, headers: Record<string, string> = {}): Promise<number> =>
    (await fetch(`${url}/v1/calls?method=${method}`, { method: 'POST', headers })).status;
  const ann = { authorization: `Bearer ${await tokenOf('ann')}` };
  await moves(
    t,
    url,
    {
      'tideway_calls_total{method="cart.total",result="ok"}': 1,
      'tideway_calls_total{method="cart.total",result="unauthenticated"}': 1,
      'tideway_call_seconds_count{method="cart.total"}': 2,
      'tideway_errors_total{code="method_unknown"}': 1,
    },
    async () => {
      assert.deepEqual(
        [await call('cart.total', ann), await call('cart.total'), await call('nobody')],
        [200, 401, 404],
      );
    },
  );
  assert.doesNotMatch(await (await fetch(`${url}/metrics`)).text(), /method="nobody"/);
});

test('a place taken up again: by namespace, and why not', async (t) => {
  const { url, port, append } = await start(t);
  const [first = ''] = await append('chat:1', 'a', 'b', 'c');
  const peer = await join(t, port, await tokenOf('ann'));
  let id = 10;
  const resumes = async (result: string, from: string): Promise<void> => {
    await moves(t, url, { [`tideway_resumes_total{namespace="chat",result="${result}"}`]: 1 }, () =>
      peer.ask(t, { op: 'subscribe', id: id++, channel: 'chat:1', from }),
    );
  };
  await resumes('resumed', first);
  await resumes('epoch', `zzzzzz${first.slice(first.indexOf('.'))}`);
  await resumes('diverged', `${first.slice(0, -4)}AAAA`);
  const authorization = `Bearer ${await tokenOf('ann')}`;
  await fetch(`${url}/v1/records?channel=chat:1`, { method: 'DELETE', headers: { authorization } });
  await resumes('trimmed', first);
  assert.equal((await scrape(url))('tideway_resumes_total', { namespace: 'news' }), 0);
});

test('a page of history is timed, by namespace; a place that does not exist is not', async (t) => {
  const { url, append } = await start(t);
  await append('chat:1', 'a');
  const read = async (query: string): Promise<void> => {
    await (await fetch(`${url}/v1/records?${query}`)).arrayBuffer();
  };
  const expected = { 'tideway_history_seconds_count{namespace="chat"}': 2, tideway_history_seconds_count: 2 };
  await moves(t, url, expected, async () => {
    await read('channel=chat:1');
    await read('channel=chat:1&after=oldest');
    await read('channel=chat:1&after=nonsense');
    await read('channel=none:1');
  });
});

test('records that retention lets go of are counted, never more than it may', async (t) => {
  const { url, append } = await start(t);
  const payloads = Array.from({ length: 100 }, (_, n) => `${n}`);
  await moves(t, url, { 'tideway_records_trimmed_total{namespace="kept"}': 64 }, async () => {
    for (let n = 0; n < 4; n++) await append('kept:1', ...payloads);
  });
  await append('chat:1', ...payloads);
  const now = await scrape(url);
  assert.ok(now('tideway_records_trimmed_total', { namespace: 'kept' }) <= 390);
  assert.equal(now('tideway_records_trimmed_total', { namespace: 'chat' }), 0);
});

test('the node and its process: what they are and have', async (t) => {
  const { url } = await start(t);
  const now = await scrape(url);
  for (const name of ['tideway_build_info', 'tideway_node_ready']) assert.equal(now(name), 1, name);
  assert.equal(now('tideway_metrics_overflow_total'), 0);
  for (const name of [
    'tideway_disk_free_bytes',
    'process_cpu_seconds_total',
    'process_start_time_seconds',
    'process_resident_memory_bytes',
    'nodejs_heap_size_used_bytes',
    'nodejs_external_memory_bytes',
  ])
    assert.ok(now(name) > 0, name);
  await t.waitFor(
    async () => {
      const later = await scrape(url);
      assert.ok(later('tideway_event_loop_lag_seconds', { quantile: '1' }) > 0);
    },
    // Each scrape begins the measurement again, and that takes two wakings of 20 ms.
    { ...DEADLINE, interval: 100 },
  );
});

test('every metric of the table is in a test that scrapes a real server', async () => {
  const files = ['metrics', 'metrics-limits', 'unread', 'health', 'cold-start', '../src/cli/server-process'];
  const texts = await Promise.all(
    files.map((file) => readFile(joinPath(import.meta.dirname, `${file}.test.ts`), 'utf8')),
  );
  const text = texts.join('\n');
  for (const key of metricKeys) {
    const { name, type }: Metric = metricTable[key];
    assert.ok(new RegExp(`\\b${name}${type === 'histogram' ? '_count' : ''}\\b`).test(text), `${name} is in none`);
  }
});
