/**
 * The wire suite: PROTOCOL.md as checks against a URL, ours or anybody's. Checks run side by side on channels of their
 * own; those that touch the whole server run alone, at the end.
 */
import { appendChecks, signalChecks } from './append-checks.ts';
import { arrivalChecks } from './arrival-checks.ts';
import { callChecks } from './call-checks.ts';
import { frameChecks } from './frame-checks.ts';
import { httpAppendChecks } from './http-append-checks.ts';
import { httpReadChecks } from './http-read-checks.ts';
import { nameChecks } from './name-checks.ts';
import { resumeChecks } from './resume-checks.ts';
import { sessionChecks } from './session-checks.ts';
import { sseChecks } from './sse-checks.ts';
import { sseLifeChecks } from './sse-life-checks.ts';
import { subscribeChecks } from './subscribe-checks.ts';
import { within } from '../raw/deadline.ts';
import { Skipped, Wire, type Check, type WireOptions } from './wire.ts';

export type { Check, WireOptions } from './wire.ts';

/** Every check of the suite. */
export const wireChecks: readonly Check[] = [
  ...nameChecks,
  ...frameChecks,
  ...sessionChecks,
  ...subscribeChecks,
  ...arrivalChecks,
  ...resumeChecks,
  ...appendChecks,
  ...signalChecks,
  ...callChecks,
  ...sseChecks,
  ...sseLifeChecks,
  ...httpAppendChecks,
  ...httpReadChecks,
];

/** No check takes longer: the longest waits are 20 s for a comment and 30 s for an EventSource to come back. */
const CHECK_MS = 180_000;

export interface CheckResult {
  readonly check: Check;
  readonly state: 'passed' | 'failed' | 'skipped';
  /** Why it was skipped, or what did not hold. */
  readonly error?: Error;
  readonly tookMs: number;
}

/** Makes one check. */
export async function runCheck(check: Check, options: WireOptions): Promise<CheckResult> {
  const wire = new Wire(options);
  const startMs = performance.now();
  const result = (state: CheckResult['state'], error?: Error): CheckResult => ({
    check,
    state,
    tookMs: performance.now() - startMs,
    ...(error === undefined ? {} : { error }),
  });
  try {
    await within(check.run(wire), CHECK_MS, 'the check to end');
    return result('passed');
  } catch (error) {
    if (error instanceof Skipped) return result('skipped', error);
    return result('failed', error instanceof Error ? error : new Error(String(error)));
  } finally {
    wire.end();
  }
}

/** Makes all checks, a few at a time; `onResult` is told of each as it ends. */
export async function wireSuite(
  options: WireOptions,
  onResult: (result: CheckResult) => void = () => {},
  checks: readonly Check[] = wireChecks,
): Promise<readonly CheckResult[]> {
  const results: CheckResult[] = [];
  const run = async (check: Check): Promise<void> => {
    const result = await runCheck(check, options);
    results.push(result);
    onResult(result);
  };
  const together = checks.filter((check) => !check.alone);
  const workers = Array.from({ length: 8 }, async () => {
    for (let check = together.shift(); check !== undefined; check = together.shift()) await run(check);
  });
  await Promise.all(workers);
  for (const check of checks) if (check.alone) await run(check);
  return results;
}

/** `SUB-6 SUB-7 a cursor is resumed byte for byte`. */
export function describeCheck(check: Check): string {
  return `${check.clauses.join(' ')} ${check.title}`;
}
