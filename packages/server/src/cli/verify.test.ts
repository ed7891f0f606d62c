import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:http';
import { describe, test, type TestContext } from 'node:test';
import { exitCodes } from './exit-codes.ts';
import { runCli, runHere, startServer, temporaryFolder, type RunningServer } from './testing/cli-rig.ts';

interface Page {
  records: { cursor: string; prev: string; data: unknown }[];
}

/** A server in front of another that changes pages of history on their way: one that has lost or altered something. */
async function tamperingProxy(t: TestContext, url: string, change: (page: Page) => void): Promise<string> {
  const proxy: Server = createServer((request, response) => {
    void (async () => {
      const answer = await fetch(url + (request.url ?? ''));
      const body = (await answer.json()) as Partial<Page>;
      if (body.records !== undefined) change(body as Page);
      response.writeHead(answer.status, { 'content-type': 'application/json' });
      response.end(JSON.stringify(body));
    })();
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    proxy.close();
    proxy.closeAllConnections();
  });
  return `http://127.0.0.1:${(proxy.address() as { readonly port: number }).port}`;
}

const drop =
  (n: number) =>
  ({ records }: Page): void =>
    void records.splice(
      records.findIndex(({ data }) => data === n),
      1,
    );

async function serverWith(t: TestContext, count: number): Promise<RunningServer> {
  const server = await startServer(t, { data: await temporaryFolder(t) });
  if (count > 0) await runCli(t, ['append', 'a:1', '{{n}}', '--count', String(count)], server);
  return server;
}

describe('verify', () => {
  test('proves a whole history over several pages, with the hash that tail has', async (t) => {
    const server = await startServer(t, {
      data: await temporaryFolder(t),
      environment: { TIDEWAY_NAMESPACES: JSON.stringify({ a: { retention: { records: 5_000 } } }) },
    });
    await runCli(t, ['append', 'a:1', '{{n}}', '--count', '2500'], server);
    const { exitCode, stdout } = await runHere(['verify', 'a:1'], server);
    assert.equal(exitCode, exitCodes.ok);
    const [, order] = /^✓ a:1: 2,500 records, chain unbroken, 0 gaps, order ([0-9a-f]{16}) from \S+ to \S+\n$/.exec(
      stdout,
    ) as unknown as [string, string];
    const tail = await runCli(t, ['tail', 'a:1', '--from', 'oldest', '--until-live', '--verify'], server);
    assert.match(tail.stderr, new RegExp(`order ${order} `));
    const json = JSON.parse((await runHere(['verify', 'a:1', '--json'], server)).stdout) as Record<string, unknown>;
    assert.deepEqual([json['ok'], json['records'], json['order']], [true, 2_500, order]);
  });

  test('proves what lies behind a cursor, and an empty channel', async (t) => {
    const server = await serverWith(t, 3);
    const page = (await (await fetch(`${server.url}/v1/records?channel=a:1`)).json()) as Page;
    const behind = await runHere(['verify', 'a:1', '--from', page.records[0]?.cursor ?? ''], server);
    assert.match(behind.stdout, /^✓ a:1: 2 records/);
    assert.match((await runHere(['verify', 'a:9'], server)).stdout, /^✓ a:9: 0 records, chain unbroken, 0 gaps\n$/);
  });

  test('names the first break where a record is missing', async (t) => {
    const server = await serverWith(t, 20);
    const page = (await (await fetch(`${server.url}/v1/records?channel=a:1`)).json()) as Page;
    const url = await tamperingProxy(t, server.url, drop(7));
    const { exitCode, stdout } = await runHere(['verify', 'a:1', '--url', url], {});
    assert.equal(exitCode, exitCodes.checkFailed);
    assert.match(stdout, /^✗ a:1: 19 records, 0 gaps; the first break \(undeclared-gap\): /);
    assert.ok(stdout.includes(page.records[6]?.cursor ?? '?'), 'it names the cursor of the missing record');
  });

  const changes: readonly [name: string, change: (page: Page) => void, kind: RegExp][] = [
    [
      'comes twice',
      ({ records }) => void records.splice(3, 0, { ...(records[2] as Page['records'][0]) }),
      /duplicated/,
    ],
    [
      'is out of order',
      ({ records }) => void records.splice(3, 2, ...records.slice(3, 5).toReversed()),
      /undeclared-gap/,
    ],
    [
      'names itself as the one before',
      ({ records: [first] }) => void (first && (first.prev = first.cursor)),
      /broken-chain/,
    ],
  ];
  for (const [name, change, kind] of changes) {
    test(`finds a record that ${name}`, async (t) => {
      const server = await serverWith(t, 10);
      const url = await tamperingProxy(t, server.url, change);
      const { exitCode, stdout } = await runHere(['verify', 'a:1', '--url', url]);
      assert.equal(exitCode, exitCodes.checkFailed, stdout);
      assert.match(stdout, kind);
    });
  }

  test('compares two nodes: the same, or the first record in which they differ', async (t) => {
    const server = await serverWith(t, 10);
    const page = (await (await fetch(`${server.url}/v1/records?channel=a:1`)).json()) as Page;
    const against = async (change: (page: Page) => void) =>
      runHere(['verify', 'a:1', '--against', await tamperingProxy(t, server.url, change)], server);
    const same = await against(() => {});
    assert.equal(same.exitCode, exitCodes.ok);
    assert.match(same.stdout, /✓ both hold the same 10 records/);
    const older = await against(({ records }) => void records.splice(0, 4));
    assert.equal(older.exitCode, exitCodes.ok, 'one that keeps fewer old records is no lie');
    assert.match(older.stdout, /✓ both hold the same 6 records/);
    const altered = await against(({ records }) => void ((records[5] as { data: unknown }).data = 'other'));
    assert.equal(altered.exitCode, exitCodes.checkFailed);
    const { cursor } = page.records[5] as { readonly cursor: string };
    assert.ok(
      altered.stdout.includes(`after 5 records that agree, the record ${cursor} has other data at`),
      altered.stdout,
    );
    const shorter = await against(({ records }) => void records.pop());
    assert.equal(shorter.exitCode, exitCodes.checkFailed);
    assert.match(shorter.stdout, /goes on with \S+, where http:\S+ ends/);
  });

  test('ends with 4 where something else answers than a server of ours', async (t) => {
    const other = createServer((_, response) => response.end('hello'));
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    t.after(() => other.close());
    const url = `http://127.0.0.1:${(other.address() as { readonly port: number }).port}`;
    const { exitCode, stderr } = await runHere(['verify', 'a:1', '--url', url]);
    assert.equal(exitCode, exitCodes.unreachable);
    assert.match(stderr, /is no Tideway server/);
  });
});
