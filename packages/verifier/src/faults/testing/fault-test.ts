/** A cell of the matrix as a test: one fault on a real broker, and the checker finds nothing wrong. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startFor, type BrokerKind } from '../../../../../scripts/brokers/broker.ts';
import { assertKept } from '../../verdict.ts';
import { runFault } from '../fault-run.ts';
import { faults, type Fault } from '../faults.ts';
import { matrixPage, readRows, rowOf, type MatrixRow } from '../matrix.ts';
import { describeInterruptions } from '../silence.ts';

export function faultTest(kind: BrokerKind, name: string, result: MatrixRow['result'] = 'nothing lost'): void {
  test(`three nodes on ${kind.name}, ${name}: ${result}, and the checker finds nothing wrong`, async (t) => {
    const missing = kind.missing();
    if (missing !== undefined) {
      assert.notEqual(process.env['TIDEWAY_REQUIRE_SERVICES'], '1', missing);
      return t.skip(missing);
    }
    const fault = faults.find((one) => one.name === name) as Fault;
    const isProxied = fault.needs === undefined;
    const broker = await startFor(kind, fault);
    assert.ok(broker !== undefined, 'one that it can be done to');
    t.after(() => broker.stop());
    const report = await runFault({ fault, broker, isProxied, seed: 7 });
    t.diagnostic(describeInterruptions(report.interruptions));
    assertKept(report.verdict);
    assert.deepEqual(report.failures, []);
    assert.ok(report.verdict.appends.stored > 100, JSON.stringify(report.verdict.appends));
    const row = rowOf(kind.name, fault, report);
    assert.equal(row.result, result);
    assert.deepEqual(readRows(matrixPage([row])), [row]);
  });
}
