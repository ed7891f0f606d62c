import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempDisposable, readFile, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { connect } from '@tideway/client';
import { EventSource } from 'eventsource';
import { createKey, type Server } from 'tideway';

const root = join(import.meta.dirname, '../../..');
const run = promisify(execFile);
const guide = await readFile(join(root, 'docs/guides/authentication.md'), 'utf8');
process.env['CHAT_SECRET'] = 'a secret for this test, of more than 32 bytes';

/** The code of a block, by the file its first line names. */
function blockOf(name: string): string {
  const block = [...guide.matchAll(/```ts\n(\/\/ (\S+?):?(?: [^\n]*)?\n[^]*?)```/g)].find((match) => match[2] === name);
  assert.ok(block, `the guide has no block ${name}`);
  return block[1] as string;
}

/** Runs a block as it stands, but for a port and a log of its own. */
async function load(t: TestContext, name: string): Promise<Record<string, unknown>> {
  const folder = await mkdtempDisposable(join(tmpdir(), 'tideway-guide-'));
  t.after(() => folder.remove());
  await symlink(join(root, 'node_modules'), join(folder.path, 'node_modules'), 'junction');
  const code = blockOf(name)
    .replace('createServer({', "createServer({ log: 'memory:', logger: () => {},")
    .replace('server.listen()', 'server.listen({ port: 0 })');
  await writeFile(join(folder.path, 'package.json'), '{"type":"module"}');
  await writeFile(join(folder.path, name), code);
  return (await import(pathToFileURL(join(folder.path, name)).href)) as Record<string, unknown>;
}

async function start(t: TestContext, name: string): Promise<{ readonly server: Server; readonly url: string }> {
  const { server } = (await load(t, name)) as { server: Server };
  t.after(() => server.close({ drainMs: 0 }));
  return { server, url: server.url ?? '' };
}

async function tokenFor(t: TestContext, user: string): Promise<string> {
  const { tokenFor } = (await load(t, 'token.ts')) as { tokenFor: (user: string) => Promise<string> };
  return tokenFor(user);
}

function call(
  url: string,
  path: string,
  init: { token?: string; cookie?: string; body?: unknown } = {},
): Promise<Response> {
  return fetch(url + path, {
    method: init.body === undefined ? 'GET' : 'POST',
    headers: {
      ...(init.token !== undefined && { authorization: `Bearer ${init.token}` }),
      ...(init.cookie !== undefined && { cookie: init.cookie }),
    },
    ...(init.body !== undefined && { body: JSON.stringify(init.body) }),
  });
}

describe('docs/guides/authentication.md', () => {
  test('tokens: who has one is its user, over WebSocket and HTTP; who has none may read the news', async (t) => {
    const { url } = await start(t, 'server.ts');
    const token = await tokenFor(t, 'ann');
    const client = connect({ url, token: async () => token });
    t.after(() => client.close());
    const { cursor } = await client.channel('chat:42').append({ text: 'hello' });
    assert.ok(cursor);
    const page = (await (await call(url, '/v1/records?channel=chat:42', { token })).json()) as {
      records: { user: string }[];
    };
    assert.equal(page.records[0]?.user, 'ann');
    assert.equal((await call(url, '/v1/records?channel=chat:42')).status, 401);
    assert.equal((await call(url, '/v1/records?channel=news:sport')).status, 200);
    assert.equal((await call(url, '/v1/records?channel=news:sport', { token, body: {} })).status, 403);
  });

  test('keys: curl appends with one, and not without', async (t) => {
    const { key, sha256 } = createKey();
    process.env['NEWSROOM_SHA256'] = sha256;
    const { url } = await start(t, 'server-with-key.ts');
    const command = /```sh\n(curl[^]*?)```/.exec(guide)?.[1] ?? '';
    const { stdout } = await run('sh', ['-c', `${command.trim()} --silent`], {
      env: { ...process.env, URL: url, KEY: key },
    });
    assert.match(stdout, /^\{"cursor":/);
    const refused = await run('sh', ['-c', `${command.trim()} --silent`], {
      env: { ...process.env, URL: url, KEY: createKey().key },
    });
    assert.match(refused.stdout, /"code":"unauthenticated"/);
    const said = t.mock.method(console, 'log', () => {});
    await load(t, 'make-key.ts');
    assert.match(String(said.mock.calls[1]?.arguments[0]), /[0-9a-f]{64}$/);
    said.mock.restore();
  });

  test('cookies: the session store says who it is; a page of another origin may not use them', async (t) => {
    const { url } = await start(t, 'server-with-cookie.ts');
    const path = '/v1/records?channel=chat:42';
    assert.equal((await call(url, path, { cookie: 'a=b; sid=s3cr3t', body: { text: 'hi' } })).status, 201);
    assert.equal((await call(url, path, { cookie: 'sid=wrong', body: {} })).status, 401);
    const foreign = await fetch(url + path, { headers: { cookie: 'sid=s3cr3t', origin: 'https://evil.example' } });
    assert.equal(foreign.status, 403);
  });

  test('tickets: a stream opens by its URL alone', async (t) => {
    const { url } = await start(t, 'server.ts');
    const { openStream } = (await load(t, 'stream.ts')) as {
      openStream: (url: string, token: string, channel: string) => Promise<EventSource>;
    };
    Object.assign(globalThis, { EventSource });
    t.after(() => Reflect.deleteProperty(globalThis, 'EventSource'));
    const stream = await openStream(url, await tokenFor(t, 'ann'), 'chat:42');
    t.after(() => stream.close());
    await new Promise((resolve, reject) => {
      stream.addEventListener('ready', resolve);
      stream.addEventListener('error', reject);
    });
    const elsewhere = stream.url.replace('chat%3A42', 'chat%3A43');
    assert.notEqual(elsewhere, stream.url);
    assert.equal((await fetch(elsewhere)).status, 403);
  });

  test('permissions: a function, a role and a word decide as the guide says', async (t) => {
    const { url } = await start(t, 'permissions.ts');
    const [ann, bob] = [await tokenFor(t, 'ann'), await tokenFor(t, 'bob')];
    const statuses = [];
    for (const [token, channel] of [
      [ann, 'team:room-1'],
      [bob, 'team:room-1'],
      [ann, 'alerts:1'],
      [bob, 'public:1'],
      [ann, 'other:1'],
    ] as const) {
      statuses.push((await call(url, `/v1/records?channel=${channel}`, { token, body: {} })).status);
    }
    assert.deepEqual(statuses, [201, 403, 403, 201, 404]);
  });

  test('a provider’s keys: the server starts though nobody answers at id.example', async (t) => {
    const { server } = (await load(t, 'provider.ts')) as { server: Server };
    await server.close({ drainMs: 0 });
  });

  test('every link to another page or heading leads somewhere', async () => {
    const headings = new Set(
      [...guide.matchAll(/^#+ (.*)$/gm)].map((match) =>
        (match[1] ?? '')
          .toLowerCase()
          .replaceAll(/[^\w\s-]/g, '')
          .replaceAll(/\s/g, '-'),
      ),
    );
    for (const [, target] of guide.matchAll(/\]\(([^)]+)\)/g)) {
      if (target?.startsWith('#')) assert.ok(headings.has(target.slice(1)), target);
      else await readFile(join(root, 'docs/guides', (target ?? '').split('#')[0] as string));
    }
  });
});
