/** The public surface of `@tideway/verifier`: the history checker, and the suites that any implementation may run. */
export * from './checker.ts';
export * from './log-suite.ts';
export { describeCheck, runCheck, wireChecks, wireSuite } from './wire-suite/suite.ts';
export type { Check, CheckResult, WireOptions } from './wire-suite/suite.ts';
