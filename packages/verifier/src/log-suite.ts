/**
 * The log suite: what every driver of the log contract must do, as a function. A case that a driver cannot pass is
 * skipped by its id and with the reason, which the test run prints.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { appendCases } from './log-suite/append-cases.ts';
import { lifeCases } from './log-suite/life-cases.ts';
import { LogRoom, type MakeLog } from './log-suite/log-case.ts';
import { nodeCases } from './log-suite/node-cases.ts';
import { placeCases } from './log-suite/place-cases.ts';
import { tailCases } from './log-suite/tail-cases.ts';

export type { LogUnderTest, MakeLog } from './log-suite/log-case.ts';

const CASES = [...appendCases, ...tailCases, ...placeCases, ...lifeCases, ...nodeCases];

export interface LogSuiteOptions {
  /** The reason for each case that is left out, by its id. */
  readonly skip?: Readonly<Record<string, string>>;
}

/** Declares the suite's tests for one driver. */
export function logSuite(name: string, makeLog: MakeLog, { skip = {} }: LogSuiteOptions = {}): void {
  const unknown = Object.keys(skip).filter((id) => !CASES.some((one) => one.id === id));
  assert.deepEqual(unknown, [], `no such case: ${unknown.join(', ')}`);
  describe(`log suite: ${name}`, () => {
    for (const one of CASES) {
      test(one.title, { skip: skip[one.id] ?? false }, async (t) => {
        const under = await makeLog(one.size ?? 'roomy');
        try {
          if (one.durable === true && !under.log.declares.durable) {
            t.skip('this log ends with its process');
            return;
          }
          if (one.shared === true && under.peer === undefined) {
            t.skip('this log is of one process');
            return;
          }
          const room = await LogRoom.open(under, () => makeLog('roomy'));
          await one.run(room);
          await room.log.close();
        } finally {
          await under.dispose();
        }
      });
    }
  });
}
