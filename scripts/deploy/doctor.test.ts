/**
 * `tideway doctor` through the load balancers of deploy/: the upgrade passes, streams are not gathered, and a quiet
 * connection outlives the time after which silence is cut. The times are shorter than in the files, their order is not.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { createServer } from 'tideway';
import { balancers, makeSite, missingProgram, NAME, type Balancer, type Replacements } from './balancers.ts';

const main = join(import.meta.dirname, '../../packages/server/src/cli/main.ts');

/** What doctor finds through a balancer, by the name of the check. */
async function examine(
  t: TestContext,
  balancer: Balancer,
  times: { readonly pingMs: number; readonly idle: string; readonly more: Replacements },
): Promise<ReadonlyMap<string, string> | undefined> {
  const missing = missingProgram(balancer);
  if (missing !== undefined) {
    t.skip(missing);
    return undefined;
  }
  const site = await makeSite(t);
  const server = await createServer({
    log: 'memory:',
    hosts: [NAME],
    trustedProxies: ['127.0.0.1'],
    pingMs: times.pingMs,
    namespaces: { news: { subscribe: 'anyone' } },
    logger: () => {},
    ...(balancer.passesTls === true && { tls: { cert: site.certFile, key: site.keyFile } }),
  });
  t.after(() => server.close({ drainMs: 0 }));
  const { port: node } = await server.listen({ port: 0 });
  const { port } = await balancer.start(t, site, [node, node, node], times.more);
  const url = `https://127.0.0.1:${port}`;
  const args = ['--conditions=tideway-source', main, 'doctor', '--url', url, '--channel', 'news:1', '--json'];
  const env = { ...process.env, NODE_EXTRA_CA_CERTS: site.certFile };
  const { stdout } = await promisify(execFile)(process.execPath, [...args, '--origin', url, '--idle', times.idle], {
    env,
  }).catch((error: { readonly code: unknown; readonly stdout: string }) => {
    // Exit code 5: something is bad, and it says what.
    assert.equal(error.code, 5, error.stdout);
    return error;
  });
  const findings = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { readonly check: string; readonly state: string });
  return new Map(findings.map(({ check, state }) => [check, state]));
}

const everything = ['websocket', 'origin-websocket', 'origin-http', 'sse', 'idle-websocket', 'idle-sse'];

describe('doctor', { concurrency: true }, () => {
  for (const [name, balancer] of Object.entries<Balancer>(balancers)) {
    // Silence is cut after 20 s: more than two pings (5 s), and than a stream is ever silent (15 s).
    test(`finds all well through ${name}, also where nothing is sent for longer than it lets silence last`, async (t) => {
      const found = await examine(t, balancer, { pingMs: 5_000, idle: '25s', more: [['75s', '20s']] });
      if (found === undefined) return;
      assert.deepEqual(
        everything.map((check) => [check, found.get(check)]),
        everything.map((check) => [check, 'good']),
      );
    });
  }

  test('says which connections a proxy cuts that lets silence last for less than that', async (t) => {
    const found = await examine(t, balancers.nginx, { pingMs: 30_000, idle: '20s', more: [['75s', '6s']] });
    if (found === undefined) return;
    assert.deepEqual(
      everything.map((check) => [check, found.get(check)]),
      everything.map((check) => [check, check.startsWith('idle-') ? 'bad' : 'good']),
    );
  });
});
