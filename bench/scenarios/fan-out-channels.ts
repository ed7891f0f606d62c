/**
 * 500 channels with 20 subscribers each, 2,000 records a second, the channels in turn: many small audiences instead of
 * one large one. Here a Tideway server's append is a real part of what a delivery costs: it is shared by 20 only.
 */
import type { Scenario } from '../scenario.ts';
import { fanOutColumns, fanOutContenders } from './fan-out-contenders.ts';

export const fanOutChannels: Scenario = {
  name: 'fan-out-channels',
  title: '500 channels of 20 subscribers, 2,000 records of 128 B a second',
  columns: fanOutColumns,
  async open(settings) {
    const size = { connections: 10_000, channels: 500, burst: 50, hz: 40, ticks: 160 };
    return {
      cases: [
        {
          name: '40 ticks/s of 50 records',
          contenders: fanOutContenders(['tideway', 'C send', 'ws string', 'Socket.IO'], settings, size),
        },
      ],
    };
  },
};
