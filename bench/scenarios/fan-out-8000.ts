/** One channel, 8,000 subscribers, one record of 128 bytes a tick, as fast as it goes; and bursts of ten. */
import type { Scenario } from '../scenario.ts';
import { fanOutColumns, fanOutContender, fanOutContenders } from './fan-out-contenders.ts';

export const fanOut8000: Scenario = {
  name: 'fan-out-8000',
  title: 'one channel, 8,000 subscribers, one record of 128 B a tick, and ten',
  columns: fanOutColumns,
  async open(settings) {
    const connections = 8_000;
    const burst = 10;
    return {
      cases: [
        {
          name: 'one a tick',
          contenders: fanOutContenders(['tideway', 'C send', 'ws string', 'Socket.IO'], settings, {
            connections,
            ticks: 40,
          }),
        },
        {
          name: 'ten a tick',
          contenders: [
            ...fanOutContenders(['tideway', 'C joined', 'ws cork'], settings, { connections, burst, ticks: 20 }),
            fanOutContender('ws string', settings, { connections, burst, ticks: 4 }),
          ],
        },
      ],
    };
  },
};
