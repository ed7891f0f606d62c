/**
 * What a delivery costs as the subscribers of one channel grow from 100 to 8,000. The kernel's own cost grows (the floor
 * shows by how much); what a server may not do is add to that growth.
 *
 * A Tideway record costs its append whether anybody follows or not. Spread over 100 subscribers that is a tenth of a
 * delivery, spread over 8,000 nothing, which would flatter the growth: so the same appends are measured with one
 * subscriber too, and `ownUserUs` is the user CPU without them.
 */
import type { Contender, Sample, Scenario, Settings } from '../scenario.ts';
import { fanOutColumns, fanOutContender } from './fan-out-contenders.ts';

const sizes = [
  { connections: 100, ticks: 3_000 },
  { connections: 1_000, ticks: 300 },
  { connections: 8_000, ticks: 40 },
];

/** Measures the appends alone right before, and takes them off. */
function withoutAppends(settings: Settings, size: { readonly connections: number; readonly ticks: number }): Contender {
  const whole = fanOutContender('tideway', settings, size);
  const alone = fanOutContender('tideway', settings, { connections: 1, ticks: 3_000 });
  return {
    ...whole,
    async measure(): Promise<Sample> {
      const append = await alone.measure();
      const sample = await whole.measure();
      const appendUserUs = append['userUs'] ?? 0;
      return { ...sample, appendUserUs, ownUserUs: sample['userUs']! - appendUserUs / size.connections };
    },
  };
}

export const fanOutGrowth: Scenario = {
  name: 'fan-out-growth',
  title: 'one channel, 100, 1,000 and 8,000 subscribers, one record of 128 B a tick, unpaced',
  columns: [...fanOutColumns, 'ownUserUs'],
  async open(settings) {
    return {
      cases: sizes.map((size) => ({
        name: `${size.connections}`,
        contenders: [withoutAppends(settings, size), fanOutContender('C send', settings, size)],
      })),
    };
  },
};
