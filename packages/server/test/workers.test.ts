import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createServer as createNetServer } from 'node:net';
import { describe, test, type TestContext } from 'node:test';
import { SignJWT } from 'jose';
import { createServer } from 'tideway';
import { exitCodes } from '../src/cli/exit-codes.ts';
import { runCli, startServer, temporaryFolder, type RunningServer } from '../src/cli/testing/cli-rig.ts';
import { join, type Frame, type Peer } from './peer.ts';

const CHANNEL = 'any:thing';
/** So many connections that each worker has some. */
const PEERS = 16;
const WAIT = { timeout: 60_000, interval: 5 };

interface Workers extends RunningServer {
  /** The process of each worker that runs now, by its number. */
  pids(): ReadonlyMap<number, number>;
}

async function startWorkers(t: TestContext, args: readonly string[] = []): Promise<Workers> {
  const server = await startServer(t, { data: await temporaryFolder(t), args: ['--workers', '2', ...args] });
  const pids = (): ReadonlyMap<number, number> => {
    const running = new Map<number, number>();
    for (const line of server.process.stderr) {
      const { event, worker, pid } = readLine(line);
      if (event === 'worker.started') running.set(worker as number, pid as number);
      if (event === 'worker.ended') running.delete(worker as number);
    }
    return running;
  };
  return { ...server, pids };
}

function readLine(line: string): { readonly [member: string]: unknown } {
  try {
    return JSON.parse(line) as { readonly [member: string]: unknown };
  } catch {
    return {};
  }
}

async function followers(t: TestContext, port: number): Promise<readonly Peer[]> {
  const peers = await Promise.all(Array.from({ length: PEERS }, () => join(t, port)));
  for (const peer of peers) {
    const answer = await peer.ask(t, { op: 'subscribe', id: 2, channel: CHANNEL });
    assert.equal(answer.op, 'ok', JSON.stringify(answer));
  }
  return peers;
}

async function append(url: string, data: unknown): Promise<string> {
  const response = await fetch(`${url}/v1/records?channel=${CHANNEL}`, { method: 'POST', body: JSON.stringify(data) });
  assert.equal(response.status, 201);
  return ((await response.json()) as { readonly cursor: string }).cursor;
}

const recordsOf = ({ frames }: Peer): readonly Frame[] => frames.filter(({ op }) => op === 'record');

/** True when no such process runs any more (Linux). */
async function isGone(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return stat === '' || stat.slice(stat.lastIndexOf(')')).startsWith(') Z');
}

async function allGone(t: TestContext, pids: Iterable<number>): Promise<void> {
  for (const pid of pids) await t.waitFor(async () => assert.ok(await isGone(pid), `${pid} still runs`), WAIT);
}

describe('a server of two workers', { skip: process.platform !== 'linux' && 'looks into /proc' }, () => {
  test('what is appended on any of them comes to readers on all of them, in one order, once', async (t) => {
    const { url, port } = await startWorkers(t);
    const peers = await followers(t, port);
    const cursors = await Promise.all(
      peers.flatMap((peer, from) =>
        Array.from({ length: 10 }, async (_, n) => {
          const answer = await peer.ask(t, { op: 'append', id: 10 + n, channel: CHANNEL, rid: `${from}-${n}` }, `${n}`);
          assert.equal(answer.op, 'ok', JSON.stringify(answer));
          return answer['cursor'] as string;
        }),
      ),
    );
    cursors.push(await append(url, 'last'));
    for (const peer of peers) {
      await t.waitFor(() => assert.equal(recordsOf(peer).length, cursors.length), WAIT);
      assert.deepEqual(
        recordsOf(peer).map(({ cursor }) => cursor),
        cursors.toSorted(),
      );
    }
  });

  test('one that is killed takes its own clients along and nobody else’s, and is started again', async (t) => {
    const server = await startWorkers(t);
    const peers = await followers(t, server.port);
    const place = await append(server.url, 1);
    const before = server.pids();
    process.kill(before.get(1) as number, 'SIGKILL');
    await t.waitFor(() => assert.notEqual(server.pids().get(1) ?? before.get(1), before.get(1)), WAIT);
    const left = peers.filter(({ closedWith }) => closedWith === undefined);
    assert.ok(left.length > 0 && left.length < PEERS, `${left.length} of ${PEERS} connections are left`);
    await append(server.url, 2);
    for (const peer of left) await t.waitFor(() => assert.equal(recordsOf(peer).length, 2), WAIT);
    for (const again of await Promise.all(Array.from({ length: PEERS }, () => join(t, server.port)))) {
      const answer = await again.ask(t, { op: 'subscribe', id: 2, channel: CHANNEL, from: place });
      assert.deepEqual([answer['resumed'], answer['cursor']], [true, place]);
      await t.waitFor(() => assert.equal(recordsOf(again).length, 1), WAIT);
    }
  });

  test('one that is asked to stop drains its own clients, ends with 0 and is started again', async (t) => {
    const server = await startWorkers(t, ['--drain-ms', '5s']);
    const peers = await followers(t, server.port);
    for (const peer of peers)
      peer.socket.on('message', () => peer.frames.at(-1)?.op === 'drain' && peer.socket.close());
    const before = server.pids().get(1) as number;
    process.kill(before, 'SIGTERM');
    await server.process.line('stderr', /"event":"worker.ended","worker":1,"message":"it ended with code 0"/);
    await t.waitFor(() => assert.notEqual(server.pids().get(1) ?? before, before), WAIT);
    const told = peers.filter(({ frames }) => frames.some(({ op }) => op === 'drain'));
    assert.ok(told.length > 0 && told.length < PEERS, `${told.length} of ${PEERS} were told`);
  });

  test('one that is stuck is killed and started again', async (t) => {
    const server = await startWorkers(t);
    const before = server.pids().get(2) as number;
    process.kill(before, 'SIGSTOP');
    await server.process.line('stderr', /"event":"worker.stuck"/);
    await t.waitFor(() => assert.notEqual(server.pids().get(2) ?? before, before), WAIT);
    assert.ok(await isGone(before));
    await append(server.url, 1);
  });

  test('when the one with the log is killed nobody stays behind, and what was acknowledged is there', async (t) => {
    const data = await temporaryFolder(t);
    const first = await startServer(t, { data, args: ['--workers', '2'] });
    const pids = first.process.stderr
      .map(readLine)
      .flatMap(({ event, pid }) => (event === 'worker.started' ? [pid] : []));
    assert.equal(pids.length, 2);
    await append(first.url, 1);
    await first.process.end('SIGKILL');
    await allGone(t, pids as number[]);
    const second = await startServer(t, { data, args: ['--workers', '2'] });
    const page = (await (await fetch(`${second.url}/v1/records?channel=${CHANNEL}`)).json()) as { records: unknown[] };
    assert.equal(page.records.length, 1);
  });

  test('asked to stop it tells its clients, ends with 0 and leaves no process behind', async (t) => {
    const server = await startWorkers(t, ['--drain-ms', '5s']);
    const peers = await followers(t, server.port);
    const pids = [...server.pids().values()];
    for (const peer of peers)
      peer.socket.on('message', () => peer.frames.at(-1)?.op === 'drain' && peer.socket.close());
    assert.equal((await server.process.end('SIGTERM')).exitCode, exitCodes.ok);
    for (const peer of peers) assert.ok(peer.frames.some(({ op }) => op === 'drain'));
    await allGone(t, pids);
  });

  test('a ticket and a signal hold on all of them', async (t) => {
    const { url, port } = await startWorkers(t);
    const peers = await followers(t, port);
    const sent = await fetch(`${url}/v1/signals?channel=${CHANNEL}`, { method: 'POST', body: '{"typing":true}' });
    assert.equal(sent.status, 202);
    for (const peer of peers)
      await t.waitFor(() => assert.equal(peer.frames.filter(({ op }) => op === 'signal').length, 1), WAIT);
    const body = JSON.stringify({ channels: [CHANNEL] });
    const { ticket } = (await (await fetch(`${url}/v1/tickets`, { method: 'POST', body })).json()) as {
      ticket: string;
    };
    for (let n = 0; n < PEERS; n++) {
      const stream = await fetch(`${url}/v1/events?channel=${CHANNEL}&ticket=${ticket}`, {
        headers: { connection: 'close' },
      });
      assert.equal(stream.status, 200);
      await stream.body?.cancel();
    }
  });

  test('the end of a user’s sessions and tickets holds on all of them', async (t) => {
    const secret = 'a secret of at least thirty-two bytes';
    const data = await temporaryFolder(t);
    const environment = { TIDEWAY_AUTH_JWT_SECRET: secret };
    const { url, port } = await startServer(t, { data, args: ['--workers', '2'], environment });
    const tokenOf = (user: string): Promise<string> =>
      new SignJWT({})
        .setProtectedHeader({ alg: 'HS256' })
        .setSubject(user)
        .setExpirationTime('1h')
        .sign(Buffer.from(secret));
    const ann = await tokenOf('ann');
    const peers = await Promise.all(Array.from({ length: PEERS }, () => join(t, port, ann)));
    const bob = await join(t, port, await tokenOf('bob'));
    const authorized = { authorization: `Bearer ${ann}` };
    const body = JSON.stringify({ channels: [CHANNEL] });
    const made = await fetch(`${url}/v1/tickets`, { method: 'POST', headers: authorized, body });
    const { ticket } = (await made.json()) as { readonly ticket: string };
    const use = async (): Promise<number> => {
      const headers = { connection: 'close' };
      const stream = await fetch(`${url}/v1/events?channel=${CHANNEL}&ticket=${ticket}`, { headers });
      await stream.body?.cancel();
      return stream.status;
    };
    const isAlways = async (status: number): Promise<void> => {
      for (let n = 0; n < PEERS; n++) assert.equal(await use(), status);
    };
    await isAlways(200);
    // Streams that a client let go of are sessions until the worker has heard of it.
    const aStream = /^tideway_sessions\{.*transport="sse"\} [1-9]/m;
    await t.waitFor(async () => assert.doesNotMatch(await (await fetch(`${url}/metrics`)).text(), aStream), WAIT);
    const ended = await fetch(`${url}/v1/disconnect?user=ann`, { method: 'POST' });
    assert.deepEqual(await ended.json(), { sessions: PEERS }, 'those of all workers');
    for (const peer of peers) assert.equal(await peer.closed(t), 4504);
    await t.waitFor(() => isAlways(401), WAIT);
    assert.equal(bob.closedWith, undefined);
  });

  test('while the one with the log is stuck clients are told; when it goes on nothing is missing', async (t) => {
    const server = await startWorkers(t);
    const peers = await followers(t, server.port);
    const primary = server.process.child.pid as number;
    await append(server.url, 1);
    const isTold = (state: string) => () => {
      for (const { frames } of peers) assert.ok(frames.some((frame) => frame.op === 'log' && frame['state'] === state));
    };
    process.kill(primary, 'SIGSTOP');
    const early = (peers[0] as Peer).ask(t, { op: 'append', id: 3, channel: CHANNEL, rid: 'early' }, '2');
    await t.waitFor(isTold('down'), WAIT);
    const late = await fetch(`${server.url}/v1/records?channel=${CHANNEL}`, { method: 'POST', body: '3' });
    assert.equal(late.status, 503);
    assert.equal(((await late.json()) as { error: { code: string } }).error.code, 'not_durable');
    const ready = await fetch(`${server.url}/readyz`);
    assert.deepEqual([ready.status, ((await ready.json()) as { log: string }).log], [200, 'down']);
    process.kill(primary, 'SIGCONT');
    await t.waitFor(isTold('up'), WAIT);
    assert.equal((await early).op, 'ok');
    await append(server.url, 4);
    for (const peer of peers) await t.waitFor(() => assert.equal(recordsOf(peer).length, 3), WAIT);
  });

  test('metrics, vitals and feeds are those of all of them, whichever is asked', async (t) => {
    const { url, port } = await startWorkers(t);
    const peers = await followers(t, port);
    const watcher = await join(t, port);
    await watcher.ask(t, { op: 'subscribe', id: 2, channel: '$system:vitals' });
    const cursor = await append(url, 1);
    const page = await (await fetch(`${url}/metrics`)).text();
    assert.equal(page.match(/^# TYPE tideway_sessions gauge$/gm)?.length, 1);
    const open = [...page.matchAll(/^tideway_sessions\{process="(worker-[12])",transport="websocket"\} (\d+)$/gm)];
    assert.deepEqual(open.map(([, process]) => String(process)).toSorted(), ['worker-1', 'worker-2']);
    assert.equal(
      open.reduce((sum, [, , count]) => sum + Number(count), 0),
      PEERS + 1,
    );
    assert.match(page, /^tideway_appends_total\{process="primary",.*result="stored"\} \d+$/m);
    const vitals = (): readonly { sessions: number; workers: number }[] =>
      watcher.payloads.flatMap((text) => (text.includes('"workers"') ? [JSON.parse(text)] : []));
    await t.waitFor(() => assert.ok(vitals().some(({ workers, sessions }) => workers === 2 && sessions > PEERS)), WAIT);
    for (let n = 0; n < 4; n++) {
      const answer = await fetch(`${url}/v1/feed?channel=any:*&after=oldest`, { headers: { connection: 'close' } });
      const { records } = (await answer.json()) as { records: { cursor: string }[] };
      assert.deepEqual(
        records.map((record) => record.cursor),
        [cursor],
      );
    }
    assert.equal((await fetch(`${url}/v1/feed?channel=nope&after=oldest`)).status, 400);
    assert.equal(peers.length, PEERS);
  });

  test('a port that is taken is refused in words', async (t) => {
    const other = createNetServer().listen(0, '127.0.0.1');
    t.after(() => other.close());
    await new Promise((resolve) => other.once('listening', resolve));
    const { port } = other.address() as { readonly port: number };
    const data = await temporaryFolder(t);
    const { exitCode, stderr } = await runCli(t, ['dev', '--workers', '2', '--port', String(port), '--data', data]);
    assert.equal(exitCode, exitCodes.failed);
    assert.match(stderr, /is in use/);
  });
});

test('workers are refused in words where there can be none', async (t) => {
  await assert.rejects(createServer({ log: 'memory:', workers: 2 }), /tideway serve --workers 2/);
  const { exitCode, stderr } = await runCli(t, ['dev', '--workers', '2', '--log', 'nats://127.0.0.1:4222/x']);
  assert.equal(exitCode, exitCodes.usage);
  assert.match(stderr, /workers: 2 is not allowed with a broker's log/);
  const faulty = await runCli(t, ['dev', '--workers', '2', '--faults', '--log', 'memory:']);
  assert.match(faulty.stderr, /workers: 2 is not allowed with faults/);
});
