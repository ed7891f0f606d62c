/**
 * What a delivery costs on a worker, beside the same on a server of one process: 1,000 subscribers of one channel, all on
 * one worker. The one with the log does what is left: what both need together is the sum of the two rows.
 */
import type { Scenario } from '../scenario.ts';
import { fanOutColumns, unpacedAndPaced } from './fan-out-contenders.ts';

const names = ['tideway', 'tideway worker', 'tideway primary'];

export const workers: Scenario = {
  name: 'workers',
  title: 'one channel, 1,000 subscribers on one worker, one record of 128 B a tick, beside one process alone',
  columns: fanOutColumns,
  async open(settings) {
    return { cases: unpacedAndPaced(names, settings, 1_000) };
  },
};
