import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { DemoServer, type DemoServerStatus } from './demo-server.ts';

/** A child that takes the port it is given, says so, and then lives. `life` may end it earlier. */
const child = (life = ''): string => `
  const { createServer } = require('node:net');
  process.on('SIGTERM', () => process.exit(0));
  const port = Number(process.argv[process.argv.indexOf('--port') + 1]);
  ${life}
  const server = createServer().listen(port, '127.0.0.1', () => {
    console.log(JSON.stringify({ event: 'ready', url: 'http://127.0.0.1:' + server.address().port }));
  });`;

function supervise(t: TestContext, code: string) {
  const history: DemoServerStatus[] = [];
  const waiting = new Set<() => void>();
  const server = new DemoServer({
    command: [process.execPath, '-e', code, '--'],
    environment: process.env,
    pauseMs: 5,
    onStatus(status) {
      history.push(status);
      for (const look of waiting) look();
    },
    onTalk: (text) => t.diagnostic(text),
  });
  t.after(() => server.stop());
  /** Resolves once the history holds what is looked for. */
  const until = (isThere: () => boolean): Promise<void> =>
    new Promise((resolve) => {
      const look = (): void => {
        if (!isThere()) return;
        waiting.delete(look);
        resolve();
      };
      waiting.add(look);
      look();
    });
  return { server, history, until };
}

test('a killed server comes back on its port, as another process', { timeout: 120_000 }, async (t) => {
  const { server, history, until } = supervise(t, child());
  const url = await server.start();
  const first = server.status.pid;
  assert.equal(server.kill(), first);
  await until(() => history.at(-1)?.state === 'up' && history.at(-1)?.restarts === 1);
  assert.equal(server.status.url, url);
  assert.notEqual(server.status.pid, first);
  assert.deepEqual(
    history.map(({ state }) => state),
    ['starting', 'up', 'down', 'starting', 'up'],
  );
});

test('a server killed while it starts is started again', { timeout: 120_000 }, async (t) => {
  const { server, history, until } = supervise(t, child());
  await server.start();
  server.kill();
  await until(() => history.at(-1)?.state === 'starting' && history.length > 2);
  assert.notEqual(server.kill(), undefined);
  await until(() => history.at(-1)?.state === 'up' && history.at(-1)?.restarts === 2);
});

test('while it is dead there is nothing to kill, and no process is named', { timeout: 120_000 }, async (t) => {
  const { server, history, until } = supervise(t, child());
  await server.start();
  server.kill();
  await until(() => history.at(-1)?.state === 'down');
  assert.equal(server.kill(), undefined);
  assert.equal(server.status.pid, undefined);
  assert.equal(server.status.upMs, undefined);
});

test('a server that never was ready is an error with its reason, and is not started again', async (t) => {
  const { server, history } = supervise(t, 'process.exit(3)');
  await assert.rejects(server.start(), /ended before it was ready \(3\)/);
  assert.deepEqual(
    history.map(({ state }) => state),
    ['starting', 'down'],
  );
});

test('why a server never was ready it says itself, and nothing else does', async () => {
  const talk: string[] = [];
  const server = new DemoServer({
    command: [process.execPath, '-e', `console.error('error: its folder is in use'); process.exit(1)`, '--'],
    environment: process.env,
    onStatus: () => {},
    onTalk: (text) => talk.push(text),
  });
  await assert.rejects(server.start(), { message: 'its folder is in use' });
  assert.deepEqual(talk, []);
});

test('a program that cannot be started is an error too', async () => {
  const server = new DemoServer({
    command: ['./no-such-program'],
    environment: {},
    onStatus: () => {},
    onTalk: () => {},
  });
  await assert.rejects(server.start(), /ENOENT/);
  await server.stop();
  assert.equal(server.status.state, 'stopped');
});

test('stopped while it is dead, it stays dead', { timeout: 120_000 }, async (t) => {
  const { server, history, until } = supervise(t, child());
  await server.start();
  server.kill();
  await until(() => history.at(-1)?.state === 'down');
  await server.stop();
  assert.equal(server.status.state, 'stopped');
  assert.equal(history.filter(({ state }) => state === 'starting').length, 1);
});
