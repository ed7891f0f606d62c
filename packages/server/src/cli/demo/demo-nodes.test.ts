import assert from 'node:assert/strict';
import { Agent, get } from 'node:http';
import { test, type TestContext } from 'node:test';
import { DemoNodes, type NodeStatus } from './demo-nodes.ts';

/** A node that answers what is asked of one, with `figures` of its own, and says on `/who` which one it is. */
const child = `
  const { createServer } = require('node:http');
  process.on('SIGTERM', () => process.exit(0));
  const port = Number(process.argv[process.argv.indexOf('--port') + 1]);
  const figures = JSON.parse(process.env.FIGURES);
  const answers = {
    '/who': process.env.NAME,
    '/readyz': { log: figures.log ?? 'up' },
    '/v1/faults': { sessions: 1, instances: [process.env.NAME] },
    '/v1/records': { records: [{ cursor: figures.cursor ?? 'aaaaaa.10.zzzz' }] },
  };
  const server = createServer(({ url }, response) => {
    response.statusCode = url === '/readyz' ? (figures.status ?? 200) : 200;
    response.end(JSON.stringify(answers[url.split('?')[0]]));
  }).listen(port, '127.0.0.1', () => {
    console.log(JSON.stringify({ event: 'ready', url: 'http://127.0.0.1:' + server.address().port }));
  });`;

interface Figures {
  readonly log?: string;
  readonly status?: number;
  readonly cursor?: string;
}

async function start(t: TestContext, all: readonly Figures[]) {
  const looks = new Set<() => void>();
  const nodes = new DemoNodes({
    count: all.length,
    channel: 'ticker:market',
    onChange() {
      for (const look of looks) look();
    },
    serverOptions: (n) => ({
      command: [process.execPath, '-e', child, '--'],
      environment: { ...process.env, NAME: `n${n}`, FIGURES: JSON.stringify(all[n - 1]) },
      pauseMs: 5,
      onTalk: (text) => t.diagnostic(text),
    }),
  });
  t.after(() => nodes.stop());
  const url = await nodes.start();
  const until = (holds: (nodes: readonly NodeStatus[]) => boolean): Promise<void> =>
    new Promise((resolve) => {
      const look = (): void => {
        if (!holds(nodes.status)) return;
        looks.delete(look);
        resolve();
      };
      looks.add(look);
      look();
    });
  /** Which node answers a new connection, or one of the agent's. */
  const who = (agent: Agent | false = false): Promise<string> =>
    new Promise((resolve, reject) => {
      get(`${url}/who`, { agent }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (part: string) => (text += part));
        response.on('end', () => resolve(JSON.parse(text) as string));
        response.on('error', reject);
      }).on('error', reject);
    });
  return { nodes, until, who };
}

const OPTIONS = { timeout: 240_000 };

test('connections take turns among the nodes, and a dead one is left out until it is back', OPTIONS, async (t) => {
  const { nodes, until, who } = await start(t, [{}, {}, {}]);
  const seen = new Set([await who(), await who(), await who()]);
  assert.deepEqual([...seen].toSorted(), ['n1', 'n2', 'n3']);
  let killed: number | undefined;
  let others: ReadonlySet<string>;
  do {
    killed = nodes.kill(2);
    await until(([, second]) => second?.state === 'down');
    others = new Set([await who(), await who(), await who(), await who()]);
    // One that was back before all were asked says nothing.
  } while (nodes.status[1]?.state === 'up');
  assert.deepEqual([...others].toSorted(), ['n1', 'n3']);
  await until(([, second]) => second?.state === 'up' && second.pid !== killed);
  const again = new Set([await who(), await who(), await who()]);
  assert.equal(again.size, 3);
});

test(
  'a paused node looks alive; once it has not answered twice its clients are cut and led elsewhere',
  OPTIONS,
  async (t) => {
    const { nodes, until, who } = await start(t, [{}, {}]);
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    t.after(() => agent.destroy());
    const name = await who(agent);
    const n = name === 'n1' ? 1 : 2;
    await until((all) => all[n - 1]?.sessions === 1);
    assert.equal(nodes.pause(n), true);
    assert.equal(nodes.pause(n), false, 'only once');
    assert.equal(nodes.status[n - 1]?.state, 'paused');
    assert.deepEqual(nodes.status[n - 1]?.instances, [name], 'its clients do not know yet');
    await assert.rejects(who(agent), 'the balancer cuts it');
    assert.deepEqual(nodes.status[n - 1]?.instances, []);
    const others = new Set([await who(), await who(), await who()]);
    assert.deepEqual([...others], [name === 'n1' ? 'n2' : 'n1']);
    assert.equal(nodes.resume(n), true);
    await until((all) => all[n - 1]?.state === 'up' && all[n - 1]?.sessions === 1);
    const both = new Set([await who(), await who()]);
    assert.equal(both.size, 2);
  },
);

test('a paused node can be killed, and stopped', OPTIONS, async (t) => {
  const { nodes, until } = await start(t, [{}, {}]);
  nodes.pause(1);
  assert.equal(typeof nodes.kill(1), 'number');
  await until(([first]) => first?.state === 'up' && first.restarts === 1);
  nodes.pause(2);
  await nodes.stop();
  assert.deepEqual(
    nodes.status.map(({ state }) => state),
    ['stopped', 'stopped'],
  );
});

test('a node says of itself that its log is down, and another’s place shows that it is behind', OPTIONS, async (t) => {
  const figures = [{ log: 'down' }, { cursor: 'aaaaaa.0.zzzz' }, { cursor: 'aaaaaa.10.zzzz' }];
  const { until } = await start(t, figures);
  await until((all) => all.map(({ state }) => state).join() === 'log down,behind,up');
});

test('a node that is not ready gets no connection', OPTIONS, async (t) => {
  const { until, who } = await start(t, [{ status: 503 }, {}]);
  await until(([first]) => first?.sessions === 1);
  assert.deepEqual([await who(), await who(), await who()], ['n2', 'n2', 'n2']);
});
