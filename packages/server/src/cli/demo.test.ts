import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { request, type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http';
import { createInterface } from 'node:readline';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { isAlive } from '../../../../scripts/leash.ts';
import type { DemoStatus } from './demo/demo-front.ts';
import type { NodeStatus } from './demo/demo-nodes.ts';

const main = fileURLToPath(new URL('./main.ts', import.meta.url));

interface Ready {
  readonly url: string;
  readonly server: string;
  readonly pid: number;
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

/** Where the demo listens; what `localhost` means differs between machines. */
function atLoopback(url: string): string {
  return url.replace('localhost', '127.0.0.1');
}

/** `fetch` does not let one choose the Host. */
function ask(url: string, method: string, headers: OutgoingHttpHeaders = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request(atLoopback(url), { method, headers }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => (text += part));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }));
    });
    sent.on('error', reject).end();
  });
}

/** The states of the server, as a page hears of them. */
async function* statuses(url: string, signal: AbortSignal): AsyncGenerator<NodeStatus> {
  const response = await fetch(`${atLoopback(url)}/demo/status`, { signal });
  let rest = '';
  for await (const part of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
    const blocks = (rest + part).split('\n\n');
    rest = blocks.pop() ?? '';
    for (const block of blocks) {
      const { nodes } = JSON.parse(block.replace('data: ', '')) as DemoStatus;
      yield nodes[0] as NodeStatus;
    }
  }
}

describe('tideway demo', { timeout: 240_000 }, () => {
  const demo = spawn(process.execPath, ['--conditions=tideway-source', main, 'demo', '--port', '0', '--json'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const isGone = new Promise<number | null>((resolve) => demo.once('exit', resolve));
  let ready: Ready;
  let secret: string;

  before(async () => {
    const line = await Promise.race([
      new Promise<string>((resolve) => createInterface({ input: demo.stdout }).once('line', resolve)),
      isGone.then((code) => Promise.reject(new Error(`the demo ended (${code}) before it was ready`))),
    ]);
    ready = JSON.parse(line) as Ready;
    const config = JSON.parse((await ask(`${ready.url}/demo/config`, 'GET')).text) as { readonly secret: string };
    ({ secret } = config);
  });
  after(async () => {
    demo.kill('SIGTERM');
    await isGone;
  });

  test('it serves its pages, and nothing else', async () => {
    const home = await ask(`${ready.url}/`, 'GET');
    assert.equal(home.status, 200);
    assert.match(home.text, /<h1 id="title">Kill the server/);
    assert.equal(home.headers['content-security-policy'], "frame-ancestors 'self'");
    for (const path of ['/chat.html', '/chat', '/ticker.html', '/vitals.html']) {
      assert.equal((await ask(ready.url + path, 'GET')).status, 200, path);
    }
    for (const path of ['/nothing', '/../package.json', '/%2e%2e/package.json', '/assets']) {
      assert.equal((await ask(ready.url + path, 'GET')).status, 404, path);
    }
  });

  test('a name that was rebound to this machine gets nothing, not even the page', async () => {
    for (const path of ['/', '/demo/config', '/demo/status']) {
      const { status, text } = await ask(ready.url + path, 'GET', { host: 'evil.example' });
      assert.equal(status, 403, path);
      assert.doesNotMatch(text, new RegExp(secret));
    }
  });

  test('only the page itself may kill: not without the secret, not from elsewhere, not by GET', async () => {
    const kill = `${ready.url}/demo/nodes/1/kill`;
    assert.equal((await ask(kill, 'POST')).status, 403);
    assert.equal((await ask(kill, 'POST', { 'x-demo-secret': 'x'.repeat(secret.length) })).status, 403);
    const foreign = { 'x-demo-secret': secret, origin: 'https://evil.example' };
    assert.equal((await ask(kill, 'POST', foreign)).status, 403);
    const byGet = await ask(kill, 'GET', { 'x-demo-secret': secret });
    assert.deepEqual([byGet.status, byGet.headers.allow], [405, 'POST']);
  });

  test('the kill is real, and the server is back under another pid at the same address', async () => {
    const watching = new AbortController();
    const seen: NodeStatus[] = [];
    let killed: number | undefined;
    for await (const status of statuses(ready.url, watching.signal)) {
      seen.push(status);
      if (status.state === 'up' && killed === undefined) {
        const answer = await ask(`${ready.url}/demo/nodes/1/kill`, 'POST', {
          'x-demo-secret': secret,
          origin: atLoopback(ready.url),
        });
        killed = (JSON.parse(answer.text) as { readonly killed: number }).killed;
        assert.equal(killed, status.pid);
      } else if (status.state === 'up' && status.pid !== killed) break;
    }
    watching.abort();
    assert.ok(seen.some(({ state }) => state === 'down'));
    assert.equal(isAlive(killed ?? 0), false);
    assert.equal((await ask(`${ready.server}/readyz`, 'GET')).status, 200);
  });

  test('what cannot be done is said in words', async () => {
    const headers = { 'x-demo-secret': secret };
    const resumed = await ask(`${ready.url}/demo/nodes/1/resume`, 'POST', headers);
    assert.deepEqual([resumed.status, /no process of node 1 to resume/.test(resumed.text)], [500, true]);
    const nobody = await ask(`${ready.url}/demo/nodes/7/kill`, 'POST', headers);
    assert.deepEqual([nobody.status, nobody.text], [200, '{"killed":null}']);
    assert.equal((await ask(`${ready.url}/demo/nodes/1/burn`, 'POST', headers)).status, 404);
    assert.equal((await ask(`${ready.url}/demo/broker/stop`, 'POST', headers)).status, 200, 'there is none');
  });

  test('the page may talk to the server from its own origin, and no other page may', async () => {
    const origin = { origin: ready.url };
    const allowed = await ask(`${ready.server}/v1/records?channel=demo:x`, 'GET', origin);
    assert.equal(allowed.headers['access-control-allow-origin'], ready.url);
    const foreign = await ask(`${ready.server}/v1/records?channel=demo:x`, 'GET', { origin: 'https://evil.example' });
    assert.equal(foreign.status, 403);
  });

  test('asked to stop, it ends with its server', async () => {
    const { value } = await statuses(ready.url, AbortSignal.timeout(60_000)).next();
    const { pid } = value as NodeStatus;
    demo.kill('SIGTERM');
    assert.equal(await isGone, 0);
    assert.equal(isAlive(pid ?? 0), false);
  });
});
