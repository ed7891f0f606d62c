/**
 * What the bench must reach: one table, each line with its text, where its value comes from, and its limit. Ratios count
 * because both sides of one are measured in the same minutes; absolute figures stand beside them in the results.
 */

/** Where a value comes from: a metric of a contender in a case of the bar's scenario. */
export interface Source {
  readonly case: string;
  readonly contender: string;
  readonly metric: string;
}

/** One way to meet a bar. */
export interface Condition {
  readonly of: Source;
  /** With it the value is the ratio `of` / `per`, pair by pair. */
  readonly per?: Source;
  readonly atMost?: number;
  readonly atLeast?: number;
}

export interface Bar {
  readonly scenario: string;
  readonly text: string;
  /** Met when any of these is. */
  readonly any: readonly [Condition, ...Condition[]];
}

/** A scenario whose figures are shown and judged by nobody, and why. */
export interface Shown {
  readonly scenario: string;
  readonly why: string;
}

function cpu(inCase: string, contender: string): Source {
  return { case: inCase, contender, metric: 'cpuUs' };
}

function fanOut1000(inCase: string, contender: string, atMost: number): Bar {
  return {
    scenario: 'fan-out-1000',
    text: `${inCase}: CPU per delivery, of ${contender}`,
    any: [{ of: cpu(inCase, 'tideway'), per: cpu(inCase, contender), atMost }],
  };
}

function worker(inCase: string): Bar {
  return {
    scenario: 'workers',
    text: `${inCase}: CPU of a worker per delivery, of one process alone`,
    any: [{ of: cpu(inCase, 'tideway worker'), per: cpu(inCase, 'tideway'), atMost: 1.15 }],
  };
}

function below(contender: string, atLeast: number): Bar {
  const inCase = 'ten a tick';
  return {
    scenario: 'fan-out-bursts',
    text: `bursts of 10: CPU per delivery is below ${contender} by a factor of`,
    any: [{ of: cpu(inCase, contender), per: cpu(inCase, 'tideway'), atLeast }],
  };
}

function userGrowth(text: string, metric: string, from: string): Bar {
  const of = (subscribers: string): Source => ({ case: subscribers, contender: 'tideway', metric });
  return { scenario: 'fan-out-growth', text, any: [{ of: of('8000'), per: of(from), atMost: 1.2 }] };
}

function growth(subscribers: string): Bar {
  return {
    scenario: 'fan-out-growth',
    text: `${subscribers} subscribers: CPU per delivery, of C send at the same number`,
    any: [{ of: cpu(subscribers, 'tideway'), per: cpu(subscribers, 'C send'), atMost: 1.8 }],
  };
}

function resumed(inCase: string, seconds: number): [Bar, Bar] {
  const of = (metric: string): Source => ({ case: inCase, contender: 'tideway', metric });
  return [
    {
      scenario: 'resume',
      text: `5,000 clients resume, ${inCase}: all there, ms`,
      any: [{ of: of('allThereMs'), atMost: seconds * 1_000 }],
    },
    {
      scenario: 'resume',
      text: `5,000 clients resume, ${inCase}: p99 of others' acknowledgements, of before`,
      any: [{ of: of('acksRatio'), atMost: 2 }],
    },
  ];
}

/** From an append on one node to delivery on another: all of it, not only what the log adds. */
function logLatency(broker: string, atMost: number): Bar {
  const of: Source = { case: broker, contender: 'tideway', metric: 'p99Ms' };
  return {
    scenario: 'log-latency',
    text: `${broker}: append on one node to delivery on another, p99 in ms`,
    any: [{ of, atMost }],
  };
}

/** Records that a node must take in each second, from each kind of broker. */
export const ingestRates = { redis: 15_000, nats: 7_000, rabbitmq: 10_000, kafka: 30_000 } as const;

function logIngest(broker: string, perSecond: number): [Bar, Bar, Bar] {
  const of = (inCase: string, contender = 'tideway'): Source => {
    return { case: `${broker}, ${inCase}`, contender, metric: 'perSecond' };
  };
  const scenario = 'log-ingest';
  const per = of('catching up', 'bare client');
  return [
    { scenario, text: `${broker}: a node catches up, records/s`, any: [{ of: of('catching up'), atLeast: perSecond }] },
    { scenario, text: `${broker}: the same, of the bare client`, any: [{ of: of('catching up'), per, atLeast: 0.7 }] },
    // Offered at that rate; the last records are on their way when the clock stops.
    { scenario, text: `${broker}: live, records/s`, any: [{ of: of('live'), atLeast: perSecond * 0.95 }] },
  ];
}

function logRecovery(broker: string): Bar {
  const of: Source = { case: broker, contender: 'tideway', metric: 'brokerRecords' };
  return {
    scenario: 'log-recovery',
    text: `${broker}: records read on the broker by 5,000 recoveries`,
    any: [{ of, atMost: 0 }],
  };
}

const append = (inCase: string, contender: string, metric: string): Source => ({ case: inCase, contender, metric });

export const bars: readonly Bar[] = [
  fanOut1000('unpaced', 'C send', 1.5),
  fanOut1000('50 ticks/s', 'C send', 1.7),
  fanOut1000('unpaced', 'ws string', 0.85),
  fanOut1000('50 ticks/s', 'ws string', 0.85),
  fanOut1000('unpaced', 'Socket.IO', 0.65),
  fanOut1000('50 ticks/s', 'Socket.IO', 0.65),
  below('ws string', 9),
  below('Socket.IO', 9),
  below('ws cork', 1.15),
  {
    scenario: 'fan-out-bursts',
    text: 'bursts of 10: CPU per delivery, of C joined',
    any: [{ of: cpu('ten a tick', 'tideway'), per: cpu('ten a tick', 'C joined'), atMost: 2 }],
  },
  userGrowth('user CPU per delivery, 8,000 subscribers, of 100', 'userUs', '100'),
  userGrowth('user CPU of a further delivery, to 8,000 subscribers, of to 1,000', 'furtherUserUs', '1000'),
  growth('100'),
  growth('1000'),
  growth('8000'),
  worker('unpaced'),
  worker('50 ticks/s'),
  {
    scenario: 'append',
    text: 'saturated, durable: appends/s',
    any: [{ of: append('saturated', 'tideway', 'perSecond'), atLeast: 50_000 }],
  },
  {
    scenario: 'append',
    text: 'saturated, durable: appends/s, of the floor',
    any: [
      {
        of: append('saturated', 'tideway', 'perSecond'),
        per: append('saturated', 'floor', 'perSecond'),
        atLeast: 0.5,
      },
    ],
  },
  {
    scenario: 'append',
    text: '10,000/s open loop: p99 in ms, or of the floor',
    any: [
      { of: append('10,000/s', 'tideway', 'p99Ms'), atMost: 10 },
      { of: append('10,000/s', 'tideway', 'p99Ms'), per: append('10,000/s', 'floor', 'p99Ms'), atMost: 2 },
    ],
  },
  {
    scenario: 'append',
    text: 'lone: p50 in ms',
    any: [{ of: append('lone', 'tideway', 'p50Ms'), atMost: 1.2 }],
  },
  ...resumed('one channel', 2),
  ...resumed('500 channels', 3),
  ...resumed('a channel each, JWT', 5),
  {
    scenario: 'idle',
    text: 'idle subscribed connection: KB of RSS',
    any: [{ of: { case: 'plain', contender: 'tideway', metric: 'rssKbEach' }, atMost: 12 }],
  },
  {
    scenario: 'idle',
    text: 'idle subscribed connection over TLS: KB of RSS',
    any: [{ of: { case: 'TLS', contender: 'tideway', metric: 'rssKbEach' }, atMost: 64 }],
  },
  {
    scenario: 'start',
    text: 'start to ready with 1,000,000 records, from a clone: ms',
    any: [{ of: { case: 'start', contender: 'clone', metric: 'startMs' }, atMost: 700 }],
  },
  {
    scenario: 'start',
    text: 'start to ready with 1,000,000 records, packed: ms',
    any: [{ of: { case: 'start', contender: 'packed', metric: 'startMs' }, atMost: 500 }],
  },
  logLatency('Redis', 5),
  logLatency('NATS', 5),
  logLatency('RabbitMQ', 15),
  logLatency('Kafka', 20),
  ...logIngest('Redis', ingestRates.redis),
  ...logIngest('NATS', ingestRates.nats),
  ...logIngest('RabbitMQ', ingestRates.rabbitmq),
  ...logIngest('Kafka', ingestRates.kafka),
  ...['Redis', 'NATS', 'RabbitMQ', 'Kafka'].map(logRecovery),
];

export const shownOnly: readonly Shown[] = [
  { scenario: 'fan-out-8000', why: 'its floor is in fan-out-growth; here the peers stand beside it' },
  { scenario: 'fan-out-payload', why: 'copies of large payloads are the kernel’s; it shows that nothing else grows' },
  {
    scenario: 'log-append',
    why: 'a bare client reads nothing back, folds nothing and keeps nothing; it shows what the broker takes',
  },
  { scenario: 'fan-out-channels', why: 'with 20 subscribers a durable append is most of a delivery; no peer appends' },
];
