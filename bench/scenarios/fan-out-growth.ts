/**
 * What a delivery costs as the subscribers of one channel grow from 100 to 8,000. The kernel's own cost grows (the floor
 * shows by how much); what a server may not do is add to that growth.
 *
 * A Tideway record costs its append whether anybody follows or not. Shared by 100 subscribers that is a good part of
 * `userUs`, shared by 8,000 nothing, which flatters its growth. So a second figure stands beside it: `furtherUserUs` is
 * what each delivery beyond the next smaller size added, in which the append cancels out.
 */
import type { Contender, Sample, Scenario, Settings } from '../scenario.ts';
import { fanOutColumns, fanOutContender } from './fan-out-contenders.ts';

interface Size {
  readonly connections: number;
  readonly ticks: number;
}

const sizes: readonly Size[] = [
  { connections: 100, ticks: 3_000 },
  { connections: 1_000, ticks: 300 },
  { connections: 8_000, ticks: 40 },
];

function tickUserUs(sample: Sample, { connections }: Size): number {
  return (sample['userUs'] ?? Number.NaN) * connections;
}

/** Measures the next smaller size right before, and says what was added. */
function againstSmaller(settings: Settings, size: Size, smaller: Size): Contender {
  const contender = fanOutContender('tideway', settings, size);
  const before = fanOutContender('tideway', settings, smaller);
  return {
    ...contender,
    async measure() {
      const less = await before.measure();
      const more = await contender.measure();
      const added = tickUserUs(more, size) - tickUserUs(less, smaller);
      return { ...more, furtherUserUs: added / (size.connections - smaller.connections) };
    },
  };
}

export const fanOutGrowth: Scenario = {
  name: 'fan-out-growth',
  title: 'one channel, 100, 1,000 and 8,000 subscribers, one record of 128 B a tick, unpaced',
  columns: [...fanOutColumns, 'furtherUserUs'],
  async open(settings) {
    return {
      cases: sizes.map((size, i) => {
        const smaller = sizes[i - 1];
        return {
          name: `${size.connections}`,
          contenders: [
            smaller ? againstSmaller(settings, size, smaller) : fanOutContender('tideway', settings, size),
            fanOutContender('C send', settings, size),
          ],
        };
      }),
    };
  },
};
