import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { connect } from '@tideway/client';
import { EventSource } from 'eventsource';
import { requireService } from '../services.ts';
import { findProgram, Program, projectFolder } from './programs.ts';

const root = join(import.meta.dirname, '../..');

interface Running {
  readonly url: string;
  readonly program: Program;
}

/** A copy of an example in a folder of its own, so that its log is its own too. */
function copyOf(t: TestContext, name: string): string {
  const folder = projectFolder(t);
  cpSync(join(root, 'examples', name), folder, {
    recursive: true,
    filter: (path) => !/node_modules|tideway-data/.test(path),
  });
  return folder;
}

async function start(
  t: TestContext,
  folder: string,
  port = '0',
  more: Readonly<Record<string, string>> = {},
): Promise<Running> {
  const program = new Program(t, folder, ['server.ts'], { PORT: port, STEP_MS: '1', ...more });
  const [, found = ''] = await program.says(/open http:\/\/(?:localhost|127\.0\.0\.1):(\d+)/);
  return { url: `http://127.0.0.1:${found}`, program };
}

/** The data of the first records of a channel, by EventSource. */
async function stream(t: TestContext, url: string, channel: string, count: number): Promise<unknown[]> {
  const events = new EventSource(`${url}/v1/events?${new URLSearchParams({ channel, from: 'oldest' })}`);
  t.after(() => events.close());
  const { promise, resolve } = Promise.withResolvers<void>();
  const found: unknown[] = [];
  events.addEventListener('message', ({ data }) => {
    found.push((JSON.parse(String(data)) as { data: unknown }).data);
    if (found.length === count) resolve();
  });
  await promise;
  events.close();
  return found;
}

/** The data of the first record of a channel, by the SDK over WebSocket. */
async function first(t: TestContext, url: string, channel: string): Promise<unknown> {
  const client = connect({ url, transport: 'websocket' });
  t.after(() => client.close());
  for await (const record of client.channel(channel).read({ from: 'oldest', onGap: 'throw' })) return record.data;
  return undefined;
}

async function history(url: string, channel: string): Promise<unknown[]> {
  const answer = await fetch(`${url}/v1/records?${new URLSearchParams({ channel, after: 'oldest' })}`);
  assert.equal(answer.status, 200);
  return ((await answer.json()) as { records: { data: unknown }[] }).records.map(({ data }) => data);
}

/** A Python that has `redis`: the first in the path need not be the one that Debian's package is for. */
function pythonWithRedis(): string | undefined {
  return ['python3', '/usr/bin/python3'].find(
    (program) => spawnSync(program, ['-c', 'import redis'], { stdio: 'ignore' }).status === 0,
  );
}

/** What every example on a server of the application's own has in common. */
async function checkBeside(url: string): Promise<void> {
  const page = await fetch(url);
  assert.match(page.headers.get('content-type') ?? '', /^text\/html/);
  assert.match(await page.text(), /EventSource\(/);
  assert.equal((await fetch(`${url}/nowhere`)).status, 404, 'the application answers for its own paths');
  const unknown = await fetch(`${url}/v1/records?channel=nope:1`);
  assert.match(await unknown.text(), /"code":"channel_unknown"/, 'Tideway answers for its own');
  assert.match(await (await fetch(`${url}/readyz`)).text(), /"status":"ready"/);
}

describe('examples', () => {
  test('each is a server, a page and one command', () => {
    const names = globSync('examples/*/package.json', { cwd: root });
    assert.ok(names.length >= 4);
    for (const name of names) {
      const { scripts } = JSON.parse(readFileSync(join(root, name), 'utf8')) as { scripts: Record<string, string> };
      assert.deepEqual(scripts, { start: 'node --conditions=tideway-source server.ts' }, name);
    }
  });

  test('plain-node: clicks are counted over WebSocket, SSE and HTTP, also after a restart', async (t) => {
    const folder = copyOf(t, 'plain-node');
    const { url, program } = await start(t, folder);
    await checkBeside(url);
    const click = { method: 'POST', headers: { 'user-agent': 'a browser' } };
    const clicked = await fetch(`${url}/click`, click);
    assert.equal(clicked.status, 201);
    assert.match(await clicked.text(), /^\S{6}\.\S+\.\S{4}$/, 'the cursor of the click');
    const expected = { browser: 'a browser' };
    assert.deepEqual(await first(t, url, 'clicks:all'), expected);
    assert.deepEqual(await stream(t, url, 'clicks:all', 1), [expected]);
    assert.deepEqual(await history(url, 'clicks:all'), [expected]);
    const foreign = await fetch(`${url}/v1/records?channel=clicks:all`, { method: 'POST', body: '{}' });
    assert.equal(foreign.status, 401);

    assert.equal(await program.kill('SIGTERM'), 0);
    const { url: again } = await start(t, folder, new URL(url).port);
    await fetch(`${again}/click`, click);
    assert.equal((await history(again, 'clicks:all')).length, 2);
  });

  test('express: an order sent twice is one order, a bad one the application’s business', async (t) => {
    const { url, program } = await start(t, copyOf(t, 'express'));
    await checkBeside(url);
    const order = (body: unknown): Promise<Response> =>
      fetch(`${url}/orders`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
    const tea = { id: 'o1', item: 'tea' };
    const [one, two] = [await order(tea), await order(tea)];
    assert.deepEqual([one.status, two.status], [201, 200]);
    assert.deepEqual(await one.json(), await two.json());
    assert.equal((await order({ id: 1 })).status, 400);
    assert.deepEqual(await first(t, url, 'orders:today'), tea);
    assert.deepEqual(await stream(t, url, 'orders:today', 1), [tea]);
    assert.deepEqual(await history(url, 'orders:today'), [tea]);
    assert.equal(await program.kill('SIGTERM'), 0);
  });

  test('fastify: a job goes on without its request, and is followed from its beginning at any time', async (t) => {
    const { url, program } = await start(t, copyOf(t, 'fastify'));
    await checkBeside(url);
    const answer = await fetch(`${url}/jobs`, { method: 'POST' });
    assert.equal(answer.status, 202);
    const { channel } = (await answer.json()) as { channel: string };
    const steps = Array.from({ length: 10 }, (_, n) => ({ step: n + 1, of: 10 }));
    assert.deepEqual(await stream(t, url, channel, 10), steps);
    assert.deepEqual(await first(t, url, channel), steps[0]);
    assert.deepEqual(await history(url, channel), steps);
    assert.equal(await program.kill('SIGTERM'), 0);
  });

  test('orders: three services answer each other, one of them in Python; who cannot be told is set aside', async (t) => {
    if (!requireService(t, 'redis-server', findProgram('redis-server'))) return;
    const python = pythonWithRedis();
    if (!requireService(t, 'python3 with redis (on Debian: apt-get install python3-redis)', python)) return;
    const folder = copyOf(t, 'orders');
    const { url, program } = await start(t, folder, '0', { PYTHON: python });
    assert.match(await (await fetch(url)).text(), /<title>Orders/);
    assert.equal((await fetch(`${url}/orders?customer=anna`, { method: 'POST' })).status, 400);
    const order = async (customer: string, item: string): Promise<string> => {
      const answer = await fetch(`${url}/orders?${new URLSearchParams({ customer, item })}`, { method: 'POST' });
      assert.equal(answer.status, 201);
      return answer.text();
    };
    const tea = await order('anna', 'tea');
    const unicorn = await order('anna', 'unicorn');
    const lost = await order('cleo', 'cake');
    assert.deepEqual(await stream(t, url, 'notice:anna', 2), [
      { order: tea, text: 'Your tea is on its way.' },
      { order: unicorn, text: 'Sorry, no unicorn today.' },
    ]);
    const dead = (await first(t, url, 'dead:notifications')) as { readonly data: unknown; readonly error: string };
    assert.deepEqual(dead.data, { order: lost, item: 'cake', state: 'reserved' });
    assert.match(dead.error, /the mailbox of cleo is full/);
    const cake = await order('cleo', 'cake');
    const orders = [lost, cake].flatMap((id) =>
      ['placed', 'reserved'].map((state) => ({ order: id, item: 'cake', state })),
    );
    assert.deepEqual(await stream(t, url, 'order:cleo', 4), orders);
    assert.equal((await history(url, 'notice:anna')).length, 2);
    assert.equal(await program.kill('SIGTERM'), 0);
  });

  test('orders: a service that is killed, and Redis, come back, and what waited for them is done', async (t) => {
    if (!requireService(t, 'redis-server', findProgram('redis-server'))) return;
    const python = pythonWithRedis();
    if (!requireService(t, 'python3 with redis (on Debian: apt-get install python3-redis)', python)) return;
    const { url, program } = await start(t, copyOf(t, 'orders'), '0', { PYTHON: python });
    const killed = async (name: string): Promise<void> => {
      const [, pid] = await program.says(new RegExp(`^${name} +runs as (\\d+)`, 'm'));
      process.kill(Number(pid), 'SIGKILL');
      await program.says(new RegExp(`^${name} +ended \\(SIGKILL\\); it is started again`, 'm'));
    };
    const texts = ['Your tea is on its way.'];
    for (const name of ['stock', 'notifications', 'redis']) {
      await killed(name);
      const take = (): Promise<Response> => fetch(`${url}/orders?customer=anna&item=tea`, { method: 'POST' });
      // While Redis is away nothing is taken.
      while ((await take()).status !== 201);
      const notices = (await stream(t, url, 'notice:anna', texts.length)) as { text: string }[];
      assert.deepEqual(
        notices.map(({ text }) => text),
        texts,
      );
      texts.push('Your tea is on its way.');
    }
    assert.equal(await program.kill('SIGTERM'), 0);
  });

  test('a page that is connected does not keep a stopping server, and a session is told to go elsewhere', async (t) => {
    const { url, program } = await start(t, copyOf(t, 'plain-node'));
    const client = connect({ url, transport: 'websocket' });
    t.after(() => client.close());
    const items = client.channel('clicks:all').read({ from: 'now', onGap: 'throw' }).items();
    assert.equal((await items.next()).value?.type, 'live');
    const { promise, resolve } = Promise.withResolvers<void>();
    client.onState((state) => {
      if (state !== 'live') resolve();
    });
    assert.equal(await program.kill('SIGTERM'), 0);
    await promise;
  });
});
