import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { exitCodes } from './exit-codes.ts';
import { CliProcess, runCli, startServer, temporaryFolder } from './testing/cli-rig.ts';

interface Line {
  readonly type: string;
  readonly data?: unknown;
  readonly rid?: string;
  readonly key?: string;
  readonly cursor?: string;
  readonly ok?: boolean;
  readonly records?: number;
  readonly order?: string;
}

const lines = (text: string): Line[] =>
  text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Line);
const records = (text: string): Line[] => lines(text).filter(({ type }) => type === 'record');

describe('append', () => {
  test('stores an argument, prints its cursor alone, and says when it was there already', async (t) => {
    const { environment } = await startServer(t, { data: await temporaryFolder(t) });
    const first = await runCli(t, ['append', 'a:1', '{"n":1}', '--id', 'one', '--key', 'k'], { environment });
    assert.equal(first.exitCode, exitCodes.ok);
    assert.match(first.stdout, /^[\w.-]+\n$/);
    assert.equal(first.stderr, '');
    const again = await runCli(t, ['append', 'a:1', '{"n":1}', '--id', 'one', '--key', 'k'], { environment });
    assert.equal(again.stdout, `${first.stdout.trim()}  duplicate\n`);
    const json = await runCli(t, ['append', 'a:1', '--text', 'hi', '--json'], { environment });
    assert.deepEqual(Object.keys(lines(json.stdout)[0] ?? {}), ['channel', 'rid', 'cursor', 'duplicate', 'ms']);
    const tail = await runCli(t, ['tail', 'a:1', '--from', 'oldest', '--until-live', '--json'], { environment });
    assert.deepEqual(
      records(tail.stdout).map(({ data, rid, key }) => ({ data, rid: rid?.length === 3 ? rid : '', key })),
      [
        { data: { n: 1 }, rid: 'one', key: 'k' },
        { data: 'hi', rid: '', key: undefined },
      ],
    );
  });

  test('stores lines of stdin and of a file in their order, up to the first that is no JSON', async (t) => {
    const folder = await temporaryFolder(t);
    const { environment } = await startServer(t, { data: join(folder, 'data') });
    const piped = await runCli(t, ['append', 'a:1', '-'], { environment, stdin: '1\n\n"two"\n[3]\n' });
    assert.equal(piped.exitCode, exitCodes.ok);
    assert.equal(piped.stdout.trim().split('\n').length, 3);
    assert.match(piped.stderr, /^3 stored in /);
    await writeFile(join(folder, 'x.ndjson'), '{"n":4}\nfive\n6\n');
    const filed = await runCli(t, ['append', 'a:1', '--file', 'x.ndjson'], { environment, folder });
    assert.equal(filed.exitCode, exitCodes.failed, 'something was done');
    assert.match(filed.stderr, /^error: line 2 of x\.ndjson is no JSON: five; the record before it is stored$/m);
    const later = await runCli(t, ['append', 'a:1', '-'], { environment, stdin: '7\n8\nnine\n' });
    assert.equal(later.exitCode, exitCodes.failed);
    assert.match(later.stderr, /^2 stored in .*\n.*line 3 of stdin .*; the 2 records before it are stored$/m);
    const nothing = await runCli(t, ['append', 'a:1', '-'], { environment, stdin: 'ten\n11\n' });
    assert.equal(nothing.exitCode, exitCodes.usage);
    assert.match(nothing.stderr, /^error: line 1 of stdin is no JSON: ten$/m);
    assert.doesNotMatch(nothing.stderr, /stored/);
    const missing = await runCli(t, ['append', 'a:1', '--file', 'y.ndjson'], { environment, folder });
    assert.equal(missing.exitCode, exitCodes.usage);
    assert.match(missing.stderr, /y\.ndjson cannot be read: ENOENT/);
    const counted = await runCli(t, ['append', 'a:1', '{"n":{{n}}}', '--count', '3', '--rate', '1000'], {
      environment,
    });
    assert.equal(counted.exitCode, exitCodes.ok);
    const tail = await runCli(t, ['tail', 'a:1', '--from', 'oldest', '--until-live', '--json'], { environment });
    const all = records(tail.stdout).map(({ data }) => JSON.stringify(data));
    assert.deepEqual(all.slice(0, 3), ['1', '"two"', '[3]']);
    assert.deepEqual(all.slice(-3), ['{"n":1}', '{"n":2}', '{"n":3}']);
    assert.ok(!all.includes('6'));
  });

  test('waits for a server that is away, and stores each record once', async (t) => {
    const data = await temporaryFolder(t);
    const first = await startServer(t, { data });
    const append = new CliProcess(t, ['append', 'a:1', '-'], { environment: first.environment });
    append.child.stdin?.write('1\n');
    await append.line('stdout', /\./);
    await first.process.end('SIGKILL');
    append.child.stdin?.write('2\n');
    const again = new CliProcess(t, ['dev', '--port', String(first.port), '--data', data, '--json']);
    await again.line('stdout', /ready/);
    append.child.stdin?.end('3\n');
    const { exitCode, stdout } = await append.finished();
    assert.equal(exitCode, exitCodes.ok);
    assert.equal(stdout.trim().split('\n').length, 3);
    const tail = await runCli(t, ['tail', 'a:1', '--from', 'oldest', '--until-live', '--json'], {
      environment: first.environment,
    });
    assert.deepEqual(
      records(tail.stdout).map(({ data: payload }) => payload),
      [1, 2, 3],
    );
  });
});

describe('tail', () => {
  test('goes through a pipe and back: records, keys, rids and bytes are the same, and proven so', async (t) => {
    const { environment, url } = await startServer(t, { data: await temporaryFolder(t) });
    await runCli(t, ['append', 'from:1', '{"n":{{n}}}', '--count', '500', '--key', 'k'], { environment });
    await fetch(`${url}/v1/records?channel=from:1`, {
      method: 'POST',
      headers: { 'content-type': 'application/octet-stream' },
      body: Uint8Array.of(0, 255, 10),
    });
    const from = await runCli(t, ['tail', 'from:1', '--from', 'oldest', '--until-live', '--json'], { environment });
    const copy = await runCli(t, ['append', 'to:1', '--records'], { environment, stdin: from.stdout });
    assert.equal(copy.exitCode, exitCodes.ok, copy.stderr);
    const to = await runCli(t, ['tail', 'to:1', '--from', 'oldest', '--until-live', '--verify', '--json'], {
      environment,
    });
    const content = (text: string): unknown[] => records(text).map(({ data, rid, key }) => [data, rid, key]);
    assert.deepEqual(content(to.stdout), content(from.stdout));
    assert.equal(content(to.stdout).length, 501);
    const verdict = lines(to.stdout).at(-1);
    assert.equal(verdict?.type, 'verdict');
    assert.equal(verdict?.ok, true);
    assert.equal(verdict?.records, 501);
  });

  test('goes on from its state file over kill -9 of the server and of itself, and misses nothing', async (t) => {
    const folder = await temporaryFolder(t);
    const first = await startServer(t, { data: join(folder, 'data') });
    const { environment } = first;
    const tail = ['tail', 'a:1', '--from', 'oldest', '--state', join(folder, 'places.json'), '--json'];
    const append = (count: number) => runCli(t, ['append', 'a:1', '{{n}}', '--count', String(count)], { environment });

    await append(20);
    const one = new CliProcess(t, tail, { environment });
    await one.line('stdout', /"data":20}/);
    await first.process.end('SIGKILL');
    await one.line('stdout', /"type":"offline"/);
    const second = new CliProcess(t, ['dev', '--port', String(first.port), '--data', join(folder, 'data'), '--json']);
    await second.line('stdout', /ready/);
    await one.line('stdout', /"type":"reconnected","channel":"a:1","gaps":0/);
    await append(30);
    await one.line('stdout', /"data":30}/);
    const { stdout: seen } = await one.end('SIGKILL');
    await append(10);
    const two = await runCli(t, [...tail, '--until-live', '--verify'], { environment });
    assert.equal(two.exitCode, exitCodes.ok, two.stderr);

    const before = records(seen).map(({ cursor }) => cursor as string);
    const after = records(two.stdout).map(({ cursor }) => cursor as string);
    assert.equal(before.length, 50);
    assert.ok(after.length >= 10);
    assert.equal(new Set([...before, ...after]).size, 60, 'none is missing');
    const places = JSON.parse(await readFile(join(folder, 'places.json'), 'utf8')) as Record<string, string>;
    assert.deepEqual(places, { 'a:1': after.at(-1) });
    const three = await runCli(t, [...tail, '--until-live'], { environment });
    assert.equal(records(three.stdout).length, 0, 'what was printed is not printed again');
  });

  test('says that it reconnected and missed nothing, to people on stderr', async (t) => {
    const data = await temporaryFolder(t);
    const first = await startServer(t, { data });
    const tail = new CliProcess(t, ['tail', 'a:1', '--transport', 'sse'], { environment: first.environment });
    await tail.line('stderr', /— following a:1 from now on http/);
    await tail.line('stderr', /— live —/);
    await first.process.end('SIGKILL');
    await tail.line('stderr', /— the connection is lost; reconnecting —/);
    const second = new CliProcess(t, ['dev', '--port', String(first.port), '--data', data, '--json']);
    await second.line('stdout', /ready/);
    await tail.line('stderr', /— reconnected, resumed, 0 missed \([\d,]+ ms\) —/);
    await runCli(t, ['append', 'a:1', String.raw`"\u009b31mred"`], { environment: first.environment });
    const line = await tail.line('stdout', /red/);
    assert.ok(!line.includes('\u009b'), 'what others write does not colour the terminal');
    assert.equal((await tail.end('SIGINT')).exitCode, exitCodes.interrupted);
  });

  test('tells a gap where records were trimmed', async (t) => {
    const { environment, url } = await startServer(t, {
      data: await temporaryFolder(t),
      environment: { TIDEWAY_NAMESPACES: JSON.stringify({ a: { retention: { records: 10 }, admin: 'user' } }) },
    });
    const first = await runCli(t, ['append', 'a:1', '1'], { environment });
    await runCli(t, ['append', 'a:1', '{{n}}', '--count', '400'], { environment });
    let start = '';
    while (start === '' || start <= first.stdout.trim()) {
      const page = await (await fetch(`${url}/v1/records?channel=a:1&after=oldest&limit=1`)).json();
      start = (page as { readonly records: readonly { readonly cursor: string }[] }).records[0]?.cursor ?? '';
    }
    const tail = await runCli(t, ['tail', 'a:1', '--from', first.stdout.trim(), '--until-live', '--verify'], {
      environment,
    });
    assert.equal(tail.exitCode, exitCodes.ok, tail.stderr);
    assert.match(tail.stdout, /— gap: trimmed; it goes on from /);
    assert.match(tail.stderr, /✓ a:1: [\d,]+ records, chain unbroken, 1 gap, order [0-9a-f]{16} from/);
  });

  test('ends by itself: after a number of records, after a time, when all is read', async (t) => {
    const { environment } = await startServer(t, { data: await temporaryFolder(t) });
    await runCli(t, ['append', 'a:1', '{{n}}', '--count', '5'], { environment });
    const counted = await runCli(t, ['tail', 'a:1', '--from', 'oldest', '--count', '2'], { environment });
    assert.equal(counted.stdout.trim().split('\n').length, 2);
    assert.equal(counted.exitCode, exitCodes.ok);
    assert.equal((await runCli(t, ['tail', 'a:1', '--for', '50ms'], { environment })).exitCode, exitCodes.ok);
    const many = await runCli(t, ['tail', 'a:1', 'b:1', '--from', 'last:1', '--until-live'], { environment });
    assert.match(many.stdout, /^\S+ {2}a:1 {2}\S+ {2}5\n$/);
  });
});

describe('what a server refuses', () => {
  const namespaces = JSON.stringify({
    open: { append: 'anyone', recordBytes: 1_024 },
    mine: { subscribe: 'user', append: 'user' },
  });
  const secret = 'a secret of the tests, of 32 bytes or more';

  test('is counted as refused, and what is on its way with it has its answer', async (t) => {
    const { environment } = await startServer(t, {
      command: 'serve',
      data: await temporaryFolder(t),
      environment: { TIDEWAY_NAMESPACES: namespaces },
    });
    const append = (args: readonly string[], stdin = ''): ReturnType<typeof runCli> =>
      runCli(t, ['append', ...args], { environment, stdin });
    const one = await append(['mine:1', '1']);
    assert.match(one.stderr, /^error: .*\(unauthenticated\)$/m);
    assert.doesNotMatch(one.stderr, /without an answer| stored/);
    const both = await append(['nope:1', '-'], '1\n2\n');
    assert.equal(both.exitCode, exitCodes.failed);
    assert.match(both.stderr, /^0 stored in \S+ s \(0\/s\); 2 refused\n.*\(channel_unknown\)$/m);
    const some = await append(['open:1', '-'], `1\n"${'x'.repeat(2_000)}"\n3\n`);
    assert.equal(some.exitCode, exitCodes.failed);
    assert.match(some.stderr, /^2 stored in .*\(\d+\/s\); 1 refused\n.*\(too_large\)$/m);
    assert.equal(some.stdout.trim().split('\n').length, 2);
    const twice = await append(['open:1', '--records'], '{"data":1,"rid":"r"}\n{"data":1,"rid":"r"}\n');
    assert.match(twice.stderr, /^2 stored in .*\/s\), 1 of them was there already$/m);
  });

  test('is exit code 3, an unreachable server 4, and no output holds the token', async (t) => {
    const { environment, process } = await startServer(t, {
      command: 'serve',
      data: await temporaryFolder(t),
      environment: { TIDEWAY_NAMESPACES: namespaces, TIDEWAY_AUTH_JWT_SECRET: secret },
    });
    const made = await runCli(t, ['token', '--user', 'ann', '--allow', 'mine:a*:append'], {
      environment: { TIDEWAY_SECRET: secret },
    });
    const token = made.stdout.trim();
    const withToken = { environment: { ...environment, TIDEWAY_TOKEN: token } };
    const broken = { environment: { ...environment, TIDEWAY_TOKEN: `${token}x` } };
    const outcomes = await Promise.all([
      runCli(t, ['append', 'mine:1', '1'], { environment }),
      runCli(t, ['tail', 'mine:1', '--until-live'], { environment }),
      runCli(t, ['append', 'mine:b', '1'], withToken),
      runCli(t, ['verify', 'mine:a'], withToken),
      runCli(t, ['append', 'mine:a', '1'], broken),
      runCli(t, ['append', 'mine:a', '1'], { environment: { ...environment, TIDEWAY_TOKEN: `${token}\n${token}` } }),
      runCli(t, ['append', 'mine:a', '1'], withToken),
      runCli(t, ['append', 'nope:1', '1'], withToken),
      runCli(t, ['append', 'mine:a', '1', '--url', 'http://127.0.0.1:2'], withToken),
    ]);
    assert.deepEqual(
      outcomes.map(({ exitCode }) => exitCode),
      [3, 3, 3, 3, 3, 2, 0, 1, 4],
      outcomes.map(({ stderr }) => stderr).join('\n'),
    );
    const { stderr } = await process.end('SIGTERM');
    for (const output of [...outcomes, { stdout: '', stderr }]) {
      for (const part of token.split('.')) assert.ok(!`${output.stdout}${output.stderr}`.includes(part));
      assert.ok(!`${output.stdout}${output.stderr}`.includes(secret));
    }
  });
});

test('what is printed to a full disk is a failure, and to whoever has left is none', async (t) => {
  const { environment } = await startServer(t, { data: await temporaryFolder(t) });
  await runCli(t, ['append', 'a:1', '{{n}}', '--count', '900'], { environment });
  const tail = ['tail', 'a:1', '--from', 'oldest', '--until-live'];
  const full = await runCli(t, tail, { environment, shell: 'exec > /dev/full;' });
  assert.equal(full.exitCode, exitCodes.failed);
  assert.match(full.stderr, /error: stdout cannot be written: ENOSPC/);
  const left = new CliProcess(t, ['tail', 'a:1', '--from', 'oldest', '--count', '900'], { environment });
  await left.line('stderr', /following/);
  left.child.stdout?.destroy();
  assert.equal((await left.finished()).exitCode, exitCodes.ok);
  const state = await runCli(t, [...tail, '--state', '/no/such/folder/places.json'], { environment });
  assert.equal(state.exitCode, exitCodes.failed);
  assert.match(state.stderr, /--state: \/no\/such\/folder\/places\.json cannot be written/);
});
