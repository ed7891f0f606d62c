/** The public surface of `@tideway/verifier`: the history checker, and the suites that any implementation may run. */
export * from './checker.ts';
export * from './log-suite.ts';
