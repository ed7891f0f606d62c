/**
 * Holds the simulation against what was measured and not used: the costs come from other scenarios, the simulation
 * says what these should cost, and the difference is printed.
 */
import type { BrokerName } from '../brokers.ts';
import type { Figures } from '../figures.ts';
import type { Costs } from './costs.ts';
import { simulate, type Plan } from './simulation.ts';
import type { Workload } from './workload.ts';

export interface Check {
  readonly what: string;
  readonly predictedUs: number;
  readonly measuredUs: number;
}

const SECONDS = 4;

/** As the fan-out scenarios have it: one connection appends, so many follow, 128 bytes. */
function fanOut(connections: number, more: Partial<Workload>): Workload {
  const one = { channels: 1, exponent: 0, follows: 1, appendsPerSecond: 10, burst: 1, isPaced: true };
  return { connections, ...one, payloadBytes: 128, ...more };
}

function perDeliveryUs(workload: Workload, costs: Costs): number {
  const plan: Plan = { workload, nodes: 1, log: 'embedded', seconds: SECONDS, seed: 1 };
  const { cpuMs, deliveries } = simulate(plan, costs);
  return (cpuMs * 1e3) / deliveries;
}

function perAppendUs(appendsPerSecond: number, log: Plan['log'], costs: Costs): number {
  const workload = { ...fanOut(0, { channels: 10, appendsPerSecond }), payloadBytes: 200 };
  const { cpuMs } = simulate({ workload, nodes: 1, log, seconds: SECONDS, seed: 1 }, costs);
  return (cpuMs * 1e3) / (appendsPerSecond * SECONDS);
}

const brokers: readonly (readonly [BrokerName, string])[] = [
  ['redis', 'Redis'],
  ['nats', 'NATS'],
  ['rabbitmq', 'RabbitMQ'],
  ['kafka', 'Kafka'],
];

/** @throws an Error that names a figure that no recorded run has */
export function checksOf(figures: Figures, costs: Costs): readonly Check[] {
  const fanOutChecks = [100, 1_000, 8_000].map((subscribers) => ({
    what: `a delivery, one channel with ${subscribers.toLocaleString('en-US')} subscribers`,
    predictedUs: perDeliveryUs(fanOut(subscribers, {}), costs),
    measuredUs: figures.of(`fan-out-growth / ${subscribers} / tideway / cpuUs`),
  }));
  const manyRooms = fanOut(10_000, { channels: 500, appendsPerSecond: 2_000, burst: 50 });
  return [
    ...fanOutChecks,
    {
      what: 'a delivery, 1,000 subscribers, 50 records a second',
      predictedUs: perDeliveryUs(fanOut(1_000, { appendsPerSecond: 50 }), costs),
      measuredUs: figures.of('fan-out-1000 / 50 ticks/s / tideway / cpuUs'),
    },
    {
      what: 'a delivery, 500 rooms of 20, 2,000 records a second',
      predictedUs: perDeliveryUs(manyRooms, costs),
      measuredUs: figures.of('fan-out-channels / 40 ticks/s of 50 records / tideway / cpuUs'),
    },
    {
      what: 'an append, 10,000 a second, embedded log',
      predictedUs: perAppendUs(10_000, 'embedded', costs),
      measuredUs: figures.of('append / 10,000/s / tideway / cpuUs'),
    },
    ...brokers.map(([kind, title]) => {
      const rate = Math.round(figures.of(`log-append / ${title} / tideway / perSecond`));
      return {
        what: `an append through a node on ${title}, saturated`,
        predictedUs: perAppendUs(rate, kind, costs),
        measuredUs: figures.of(`log-append / ${title} / tideway / cpuUs`),
      };
    }),
  ];
}
