import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { EventSource } from 'eventsource';
import { createKey, createServer } from 'tideway';
import { blockNamed, codeBlocks } from './markdown.ts';
import { Program, projectFolder } from './programs.ts';

const root = join(import.meta.dirname, '../..');
const run = promisify(execFile);
const cli = join(root, 'packages/server/src/cli/main.ts');
const read = (name: string): string => readFileSync(join(root, 'docs/guides', `${name}.md`), 'utf8');

/** A server on which the guides' channels are open to all. */
async function start(t: TestContext): Promise<string> {
  const anyone = { subscribe: 'anyone', append: 'anyone', history: 'anyone' } as const;
  const server = await createServer({ log: 'memory:', namespaces: { news: anyone }, logger: () => {} });
  t.after(() => server.close({ drainMs: 0 }));
  return (await server.listen({ port: 0 })).url;
}

/** Runs a page's block as a module. */
async function load(t: TestContext, page: string, name: string): Promise<unknown> {
  const file = join(projectFolder(t), name);
  writeFileSync(file, blockNamed(page, name));
  return await import(pathToFileURL(file).href);
}

async function append(url: string, data: object): Promise<void> {
  const answer = await fetch(`${url}/v1/records?channel=news:sport`, { method: 'POST', body: JSON.stringify(data) });
  assert.equal(answer.status, 201);
}

test('chat in ten minutes shows the files of examples/chat, each as it is', () => {
  const shown = codeBlocks(read('chat-in-ten-minutes')).filter(({ language }) => language !== 'sh');
  const files = ['contract.ts', 'server.ts', 'index.html', 'client.ts'];
  assert.deepEqual(
    shown.map(({ code }) => code),
    files.map((file) => readFileSync(join(root, 'examples/chat', file), 'utf8')),
  );
});

test('publish from a back end: the key of the guide opens its server, and every command does what it says', async (t) => {
  const guide = read('publish-from-a-back-end');
  const folder = projectFolder(t);
  writeFileSync(join(folder, 'tideway.config.ts'), blockNamed(guide, 'tideway.config.ts'));
  const { stdout, stderr } = await run(process.execPath, [
    '--conditions=tideway-source',
    cli,
    'token',
    'key',
    '--name',
    'newsroom',
  ]);
  const KEY = stdout.trim();
  const sha256 = /[0-9a-f]{64}/.exec(stderr)?.[0] ?? '';
  const server = new Program(t, folder, [cli, 'serve', '--port', '0', '--json'], { NEWSROOM_SHA256: sha256 });
  const [, URL = ''] = await server.says(/"url":"([^"]+)"/);
  const environment = { ...process.env, URL, KEY };

  const commands = codeBlocks(guide).filter(({ language, code }) => language === 'sh' && code.includes('curl'));
  assert.ok(commands.length >= 5);
  for (const { code } of commands) {
    const answer = await run('sh', ['-c', code], { env: environment });
    assert.match(answer.stdout, /"cursor":/, code);
    assert.doesNotMatch(answer.stdout, /"code"/, code);
    const refused = await run('sh', ['-c', code], { env: { ...environment, KEY: `${KEY.slice(0, -1)}!` } });
    assert.match(refused.stdout, /"unauthenticated"/, code);
  }
  const again = commands.find(({ code }) => code.includes('Idempotency-Key'));
  assert.ok(again);
  assert.match((await run('sh', ['-c', again.code], { env: environment })).stdout, /"duplicate":true/);

  writeFileSync(join(folder, 'publish.ts'), blockNamed(guide, 'publish.ts'));
  await new Program(t, folder, ['publish.ts'], { URL, KEY }).says(/^stored at \S+$/m);
  const page = await fetch(`${URL}/v1/records?channel=news:sport`);
  const { records } = (await page.json()) as { records: { data: { headline: string } }[] };
  assert.deepEqual(
    records.map(({ data }) => data.headline),
    ['It works', '2:1', '3:1', 'From Node'],
  );
});

test('events between services: the consumer of the guide handles orders of its server, and writes on once', async (t) => {
  const guide = read('events-between-services');
  const folder = projectFolder(t);
  writeFileSync(join(folder, 'tideway.config.ts'), blockNamed(guide, 'tideway.config.ts'));
  writeFileSync(join(folder, 'stock.ts'), blockNamed(guide, 'stock.ts'));
  const { key: KEY, sha256 } = createKey();
  const server = new Program(t, folder, [cli, 'serve', '--port', '0', '--json'], { SERVICES_SHA256: sha256 });
  const [, URL = ''] = await server.says(/"url":"([^"]+)"/);
  const stock = new Program(t, folder, ['stock.ts'], { URL, KEY });
  await stock.says(/^ready$/m);
  const headers = { authorization: `Bearer ${KEY}` };
  const body = JSON.stringify({ item: 'tea', count: 2 });
  const answer = await fetch(`${URL}/v1/records?channel=order:17`, { method: 'POST', headers, body });
  const { cursor } = (await answer.json()) as { cursor: string };
  const [, id] = await stock.says(/^order:17: 2 × tea \((\S+)\)$/m);
  assert.equal(id, cursor);

  const { reserve } = (await load(t, guide, 'reserve.ts')) as {
    reserve: (url: string, key: string, order: { id: string; data: unknown }) => Promise<void>;
  };
  const development = await createServer({ log: 'memory:', development: true, logger: () => {} });
  t.after(() => development.close({ drainMs: 0 }));
  const { url } = await development.listen({ port: 0 });
  await assert.rejects(reserve(url, KEY, { id: cursor, data: 1 }), /the move was not stored: 401/);
});

test('ask the server: the method of the guide answers the SDK and curl as the page says', async (t) => {
  const guide = read('ask-the-server');
  const folder = projectFolder(t);
  for (const name of ['tideway.config.ts', 'total.ts']) writeFileSync(join(folder, name), blockNamed(guide, name));
  const server = new Program(t, folder, [cli, 'serve', '--port', '0', '--json']);
  const [, URL = ''] = await server.says(/"url":"([^"]+)"/);
  await new Program(t, folder, ['total.ts'], { URL }).says(/^\{ total: 7 \}$/m);
  const command = codeBlocks(guide).find(({ language }) => language === 'sh')?.code ?? '';
  const { stdout } = await run('sh', ['-c', command], { env: { ...process.env, URL } });
  const { error } = JSON.parse(stdout) as { readonly error: { readonly code: string; readonly message: string } };
  assert.deepEqual([error.code, error.message], ['invalid', 'there is no milk']);
});

test('WebSocket or SSE: the SDK, EventSource, frames by hand and plain HTTP read the same records', async (t) => {
  const guide = read('websocket-or-sse');
  const url = await start(t);
  await append(url, { headline: 'first' });

  process.env['URL'] = url;
  const { client } = (await load(t, guide, 'sdk.ts')) as { client: import('@tideway/client').Client };
  t.after(() => client.close());
  const reader = client.channel('news:sport').read({ from: 'oldest', onGap: 'throw' });
  assert.deepEqual((await reader.next()).value?.data, { headline: 'first' });

  Object.assign(globalThis, { EventSource });
  t.after(() => Reflect.deleteProperty(globalThis, 'EventSource'));
  const { follow } = (await load(t, guide, 'feed.ts')) as {
    follow: (url: string, onRecord: (data: unknown) => void) => EventSource;
  };
  const fed = Promise.withResolvers<unknown>();
  const events = follow(url, fed.resolve);
  t.after(() => events.close());
  assert.deepEqual(await fed.promise, { headline: 'first' });

  const { talk } = (await load(t, guide, 'frames.ts')) as {
    talk: (url: string, onMessage: (header: { op: string }, payload: string) => void) => WebSocket;
  };
  const heard: string[] = [];
  const byHand = Promise.withResolvers<void>();
  const socket = talk(url, ({ op }, payload) => {
    heard.push(payload === '' ? op : `${op} ${payload}`);
    if (payload.includes('by hand')) byHand.resolve();
  });
  t.after(() => socket.close());
  await byHand.promise;
  assert.deepEqual(heard, ['ok', 'ok', 'record {"headline":"first"}', 'ok', 'record {"headline":"by hand"}']);

  const loop = codeBlocks(guide).find(({ language }) => language === 'sh')?.code ?? '';
  const following = run('sh', ['-c', loop], { env: { ...process.env, URL: url } });
  const { promise: waiting, resolve } = Promise.withResolvers<void>();
  following.child.stdout?.once('data', () => resolve());
  await waiting;
  await append(url, { headline: 'third' });
  const pages = (await following).stdout.trim().split('\n');
  assert.equal(pages.length, 2);
  assert.deepEqual(
    pages.map((page) => (JSON.parse(page) as { records: { data: object }[] }).records.map(({ data }) => data)),
    [[{ headline: 'first' }, { headline: 'by hand' }], [{ headline: 'third' }]],
  );
});

test('WebSocket or SSE: the EventSource of the guide shows a hole also where it is said as it comes back (SUB-6)', async (t) => {
  const made: EventTarget[] = [];
  class Told extends EventTarget {
    constructor() {
      super();
      made.push(this);
    }
  }
  Object.assign(globalThis, { EventSource: Told });
  t.after(() => Reflect.deleteProperty(globalThis, 'EventSource'));
  const { follow } = (await load(t, read('websocket-or-sse'), 'feed.ts')) as {
    follow: (url: string, onRecord: (data: unknown) => void) => void;
  };
  const shown: unknown[] = [];
  follow('http://localhost', (data) => shown.push(data));
  const tell = (name: string, data: object): void =>
    void made[0]?.dispatchEvent(new MessageEvent(name, { data: JSON.stringify(data) }));
  tell('ready', { channels: [{ channel: 'news:sport', cursor: 'a', head: 'a' }] });
  tell('ready', { channels: [{ channel: 'news:sport', cursor: 'a', head: 'a', resumed: true }] });
  assert.equal(shown.length, 0);
  tell('ready', { channels: [{ channel: 'news:sport', cursor: 'b', head: 'b', resumed: false, reason: 'trimmed' }] });
  assert.equal(shown.length, 1);
  tell('gap', { channel: 'news:sport', cursor: 'c', reason: 'diverged' });
  assert.equal(shown.length, 2);
});

test('bridge a broker you have: the configuration of the guide is right, and has the bridges that it says', async (t) => {
  const folder = projectFolder(t);
  writeFileSync(join(folder, 'tideway.config.ts'), blockNamed(read('bridges'), 'tideway.config.ts'));
  const call = (...args: readonly string[]): ReturnType<typeof run> =>
    run(process.execPath, ['--conditions=tideway-source', cli, ...args], {
      cwd: folder,
      env: { ...process.env, BRIDGE_SHA256: '0'.repeat(64) },
    });
  const { stdout } = await call('config', 'check', '--json');
  assert.deepEqual((JSON.parse(String(stdout)) as { namespaces: unknown }).namespaces, [
    ...['order', 'price', 'note', 'dead', 'group'],
  ]);
  await assert.rejects(call('bridge', 'nothing'), (error: { readonly stderr?: unknown }) => {
    return /there are: orders, prices, notes/.test(String(error.stderr));
  });
});

test('every commands’ name and flag that a page shows is one of the command line', async () => {
  const pages = ['README.md', 'CONTRIBUTING.md', ...globSync('docs/guides/*.md', { cwd: root })];
  const shown = pages.flatMap((page) =>
    codeBlocks(readFileSync(join(root, page), 'utf8'))
      .filter(({ language }) => language === 'sh')
      .flatMap(({ code }) => [...code.matchAll(/npm run (?:-s )?tideway -- ([^\n]*)/g)].map(([, call = '']) => call)),
  );
  assert.ok(shown.length >= 3);
  for (const call of shown) {
    const words = call.split(' ');
    const end = words.findIndex((word) => word.startsWith('-'));
    const { stdout } = await run(process.execPath, [
      '--conditions=tideway-source',
      cli,
      ...words.slice(0, end < 0 ? undefined : end),
      '--help',
    ]);
    for (const flag of words.filter((word) => word.startsWith('--')))
      assert.ok(stdout.includes(flag), `${call}: ${flag}`);
  }
});

test('the TypeScript of every page compiles as strictly as the sources do', (t) => {
  const folder = projectFolder(t);
  let count = 0;
  for (const page of ['README.md', ...globSync('docs/guides/*.md', { cwd: root })]) {
    const home = join(folder, basename(page, '.md'));
    for (const { language, name, code } of codeBlocks(readFileSync(join(root, page), 'utf8'))) {
      if (language !== 'ts' || name === undefined) continue;
      mkdirSync(home, { recursive: true });
      writeFileSync(join(home, name), code);
      count++;
    }
  }
  assert.ok(count >= 10, String(count));
  const { compilerOptions } = JSON.parse(readFileSync(join(root, 'tsconfig.json'), 'utf8')) as {
    compilerOptions: object;
  };
  writeFileSync(
    join(folder, 'tsconfig.json'),
    JSON.stringify({ compilerOptions: { ...compilerOptions, moduleDetection: 'force' }, include: ['*/*.ts'] }),
  );
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  let said = '';
  try {
    execFileSync(process.execPath, [tsc, '-p', folder], { cwd: folder, encoding: 'utf8' });
  } catch (error) {
    said = String((error as { readonly stdout?: unknown }).stdout);
  }
  assert.equal(said, '');
});
