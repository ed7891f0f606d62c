/** The matrix of faults: what `npm run faults` runs. */
export { runFault, type FaultReport } from './fault-run.ts';
export { faults, type Fault, type FaultyBroker } from './faults.ts';
export { matrixPage, readRows, rowOf, type MatrixRow } from './matrix.ts';
export { describeInterruptions, type Interruptions } from './silence.ts';
