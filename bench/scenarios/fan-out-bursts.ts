/**
 * One channel, 1,000 subscribers, ten records of 128 bytes in every tick. This is where joining a tick's frames pays, so
 * the peers are a plain loop, a loop that joins by `cork`, and a C program that joins.
 */
import type { Scenario } from '../scenario.ts';
import { fanOutColumns, fanOutContenders } from './fan-out-contenders.ts';

export const fanOutBursts: Scenario = {
  name: 'fan-out-bursts',
  title: 'one channel, 1,000 subscribers, ten records of 128 B a tick, unpaced',
  columns: fanOutColumns,
  async open(settings) {
    const size = { connections: 1_000, burst: 10 };
    return {
      cases: [
        {
          name: 'ten a tick',
          contenders: [
            ...fanOutContenders(['tideway', 'C joined', 'ws cork'], settings, { ...size, ticks: 150 }),
            // They take ten times as long for a tick.
            ...fanOutContenders(['C send', 'ws string', 'Socket.IO'], settings, { ...size, ticks: 24 }),
          ],
        },
      ],
    };
  },
};
