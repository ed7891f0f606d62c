/** One channel, 1,000 subscribers, one record of 128 bytes a tick: 50 ticks a second, and as fast as it goes. */
import type { Scenario } from '../scenario.ts';
import { fanOutColumns, unpacedAndPaced } from './fan-out-contenders.ts';

const names = ['tideway', 'C send', 'ws string', 'ws buffer', 'Socket.IO'];

export const fanOut1000: Scenario = {
  name: 'fan-out-1000',
  title: 'one channel, 1,000 subscribers, one record of 128 B a tick',
  columns: fanOutColumns,
  async open(settings) {
    return { cases: unpacedAndPaced(names, settings, 1_000) };
  },
};
