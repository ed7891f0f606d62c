/** One channel, 1,000 subscribers, one record a tick of 128 bytes, 1 KiB and 16 KiB. */
import type { Scenario } from '../scenario.ts';
import { fanOutColumns, fanOutContenders } from './fan-out-contenders.ts';

const names = ['tideway', 'C send', 'ws string', 'Socket.IO'];
const sizes = [
  { name: '128 B', payloadBytes: 128 },
  { name: '1 KiB', payloadBytes: 1_024 },
  { name: '16 KiB', payloadBytes: 16_384 },
];

export const fanOutPayload: Scenario = {
  name: 'fan-out-payload',
  title: 'one channel, 1,000 subscribers, one record a tick, three sizes of payload, 20 ticks/s',
  columns: fanOutColumns,
  async open(settings) {
    return {
      cases: sizes.map(({ name, payloadBytes }) => ({
        name,
        contenders: fanOutContenders(names, settings, { connections: 1_000, payloadBytes, hz: 20, ticks: 60 }),
      })),
    };
  },
};
