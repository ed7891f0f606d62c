import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { generate } from 'selfsigned';
import { createServer } from 'tideway';
import { freePort } from '@tideway/verifier/free-ports';
import { blockNamed } from './markdown.ts';
import { findProgram, Program, projectFolder } from './programs.ts';

const root = join(import.meta.dirname, '../..');
const guide = readFileSync(join(root, 'docs/guides/deploy-behind-a-proxy.md'), 'utf8');

interface Place {
  readonly folder: string;
  readonly port: number;
  readonly upstream: number;
}

/** Tideway as the guide says, a certificate, and a port for the proxy, which cannot be told to take a free one. */
async function prepare(t: TestContext): Promise<Place> {
  const folder = projectFolder(t);
  const server = await createServer({
    log: 'memory:',
    hosts: ['live.example.com'],
    namespaces: { news: { subscribe: 'anyone', append: 'anyone', history: 'anyone' } },
    logger: () => {},
  });
  t.after(() => server.close({ drainMs: 0 }));
  const { port: upstream } = await server.listen({ port: 0 });
  const { cert, private: key } = await generate([{ name: 'commonName', value: 'live.example.com' }], { keyType: 'ec' });
  for (const [name, text] of Object.entries({ 'cert.pem': cert, 'key.pem': key, 'both.pem': `${cert}\n${key}` })) {
    writeFileSync(join(folder, name), text);
  }
  return { folder, upstream, port: await freePort() };
}

/** The guide's own text with this test's ports and files; what is not found in it is an error. */
function fill(name: string, replacements: Readonly<Record<string, string>>): string {
  let text = blockNamed(guide, name);
  for (const [from, to] of Object.entries(replacements)) {
    assert.ok(text.includes(from), `${name}: ${from}`);
    text = text.replaceAll(from, to);
  }
  return text;
}

const client = `
import { request } from 'node:https';
import { connect } from '@tideway/client';

const port = Number(process.env.PORT);
for (const transport of ['websocket', 'sse']) {
  const live = connect({ url: 'https://localhost:' + port, transport });
  const channel = live.channel('news:' + transport);
  const reader = channel.read({ from: 'now', onGap: 'throw' }).items();
  await reader.next();
  await channel.append({ n: 1 });
  const { value } = await reader.next();
  console.log(transport, JSON.stringify(value.record.data));
  live.close();
}
function ask(path, host, body) {
  return new Promise((resolve, reject) => {
    const method = body === undefined ? 'GET' : 'POST';
    const asked = request({ host: '127.0.0.1', port, path, method, headers: { host } }, (answer) => {
      answer.resume().on('end', () => resolve(answer.statusCode));
    });
    asked.on('error', reject);
    asked.end(body);
  });
}
const name = 'live.example.com';
const large = JSON.stringify([{ channel: 'news:large', data: 'x'.repeat(200000) }]) + ' '.repeat(3000000);
console.log('own name', await ask('/v1/session', name));
console.log('another name', await ask('/v1/session', 'other.example'));
console.log('metrics', await ask('/metrics', name));
console.log('large batch', await ask('/v1/batch', name, large));
console.log('done');
`;

async function check(t: TestContext, { folder, port }: Place): Promise<void> {
  writeFileSync(join(folder, 'client.ts'), client);
  const environment = { PORT: String(port), NODE_TLS_REJECT_UNAUTHORIZED: '0', NODE_NO_WARNINGS: '1' };
  const program = new Program(t, folder, ['client.ts'], environment);
  await program.says(/^done$/m);
  assert.deepEqual(program.said.trim().split('\n'), [
    'websocket {"n":1}',
    'sse {"n":1}',
    'own name 200',
    'another name 403',
    'metrics 404',
    'large batch 200',
    'done',
  ]);
}

test('nginx passes WebSocket, streams and large batches with the configuration of the guide', async (t) => {
  const nginx = findProgram('nginx');
  if (nginx === undefined) return t.skip('nginx was not found');
  const place = await prepare(t);
  const { folder, port, upstream } = place;
  const block = fill('nginx.conf', {
    'listen 443': `listen 127.0.0.1:${port}`,
    '127.0.0.1:7400': `127.0.0.1:${upstream}`,
    '/etc/ssl/live.example.com': folder,
  });
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${folder}/${name};`,
  );
  const user = process.getuid?.() === 0 ? 'user root;' : '';
  writeFileSync(
    join(folder, 'nginx.conf'),
    `${user} daemon off; master_process off; pid ${folder}/pid; error_log stderr notice; events {}\nhttp { access_log off; ${paths.join(' ')}\n${block}}\n`,
  );
  const program = new Program(t, folder, ['-e', 'stderr', '-c', join(folder, 'nginx.conf')], {}, nginx);
  await program.says(/event method/);
  await check(t, place);
});

test('HAProxy passes WebSocket, streams and large batches with the configuration of the guide, and its check is answered', async (t) => {
  const haproxy = findProgram('haproxy');
  if (haproxy === undefined) return t.skip('haproxy was not found');
  const place = await prepare(t);
  const { folder, port, upstream } = place;
  const block = fill('haproxy.cfg', {
    'bind :443': `bind 127.0.0.1:${port}`,
    '127.0.0.1:7400': `127.0.0.1:${upstream}`,
    '/etc/ssl/live.example.com': folder,
    'option httpchk': 'option httpchk\n  option log-health-checks\n  log global',
  });
  writeFileSync(join(folder, 'haproxy.cfg'), `global\n  maxconn 200\n  log stdout format raw local0\n${block}`);
  const program = new Program(t, folder, ['-db', '-f', join(folder, 'haproxy.cfg')], {}, haproxy);
  await program.says(/Health check for server tideway\/node1 succeeded/);
  await check(t, place);
});
