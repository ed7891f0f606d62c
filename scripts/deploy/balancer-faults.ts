/**
 * Three nodes on one log behind a load balancer of deploy/: writers and readers on WebSocket, SSE (HTTP/1.1 and HTTP/2) and
 * HTTP, all over TLS, no affinity; nodes are killed and drained under load, and the history checker looks at what became
 * of it. One file of tests for each balancer, because each takes a minute.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { disableHttp2 } from '@tideway/client/node';
import { assertKept } from '@tideway/verifier/checker';
import { describeInterruptions, faults, runFault, type Fault } from '@tideway/verifier/faults';
import { redis } from '../brokers/redis.ts';
import { balancers, makeSite, missingProgram, NAME, type Balancer } from './balancers.ts';

/** Readers in processes of their own; for figures, say more: TIDEWAY_CROWD=400. */
const CROWD = Number(process.env['TIDEWAY_CROWD'] ?? 12);
/** With many of them, fewer records and more time to move, as in use. */
const MANY = CROWD > 100 ? { appendsPerSecond: 5, drainMs: 10_000 } : {};

export function testFaultsBehind(name: keyof typeof balancers): void {
  const balancer: Balancer = balancers[name];
  for (const faultName of ['node killed', 'rolling restart']) {
    test(`three nodes behind ${name}, ${faultName}: nothing is lost, nothing comes twice`, async (t) => {
      const missing = missingProgram(balancer) ?? redis.missing();
      if (missing !== undefined) {
        assert.notEqual(process.env['TIDEWAY_REQUIRE_SERVICES'], '1', missing);
        return t.skip(missing);
      }
      const site = await makeSite(t);
      // Processes that a test starts trust what it trusts.
      process.env['NODE_EXTRA_CA_CERTS'] = site.certFile;
      // What a node of the cluster does is looked at here, not what Node does; raw streams speak HTTP/2 all the same.
      disableHttp2();
      const broker = await redis.start();
      t.after(() => broker.stop());
      const own = balancer.passesTls === true ? ['--tls-cert', site.certFile, '--tls-key', site.keyFile] : [];
      const report = await runFault({
        fault: faults.find((fault) => fault.name === faultName) as Fault,
        broker,
        isProxied: false,
        seed: 11,
        readers: 8,
        flags: ['--hosts', NAME, ...own],
        front: (ports) => balancer.start(t, site, ports),
        isEncrypted: true,
        crowd: CROWD,
        ...MANY,
      });
      t.diagnostic(describeInterruptions(report.interruptions));
      for (const [kind, interruptions] of Object.entries(report.crowd ?? {}))
        t.diagnostic(`in processes of their own, ${kind}: ${describeInterruptions(interruptions)}`);
      assertKept(report.verdict);
      assert.deepEqual(report.failures, []);
      assert.ok(report.verdict.appends.stored > 100, JSON.stringify(report.verdict.appends));
    });
  }
}
