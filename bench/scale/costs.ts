/**
 * What things cost, out of recorded runs of the bench: the only figures that the scale plan starts from. Each has the
 * path it comes from; where one is worked out of several, the arithmetic stands beside it.
 *
 * A node is counted as one thread that does all of its work but the writing of a batch. LevelDB has threads of its own
 * which do a part of taking records in, so a node is a little better than this says.
 */
import type { BrokerName } from '../brokers.ts';
import type { Figures } from '../figures.ts';

export interface LogCosts {
  /** CPU of a node for a record that it takes in, with one delivery. */
  readonly ingestUs: number;
  /** CPU of the broker for one record: taking it, and giving it to one node. */
  readonly brokerWriteUs: number;
  readonly brokerReadUs: number;
  /** From a lone append on one node to its delivery on another, half of them. */
  readonly latencyMs: number;
}

export interface Costs {
  /** Of a node without connections. */
  readonly processMb: number;
  readonly connectionKb: number;
  readonly tlsConnectionKb: number;
  /** One write to one socket. */
  readonly writeUs: number;
  /** One more record in such a write. */
  readonly recordUs: number;
  /** An append that is one of many in a batch. */
  readonly appendUs: number;
  /** A batch, however many it carries, on all threads; and how long it keeps the one that does everything else. */
  readonly batchUs: number;
  readonly batchTurnUs: number;
  /** A batch of the embedded log on the disk of the bench's machine. */
  readonly syncMs: number;
  /** Bytes of a record's frame beside its payload. */
  readonly frameBytes: number;
  /** A client that connects, says hello and is given 100 records that it missed; the second with a JWT to verify. */
  readonly comebackUs: number;
  readonly comebackJwtUs: number;
  readonly logs: Readonly<Record<BrokerName, LogCosts>>;
}

/** The payload of the fan-out scenarios. */
const FAN_OUT_PAYLOAD = 128;
const STORM_CLIENTS = 5_000;

/** @throws an Error that names a figure that no recorded run has */
export function costsOf(figures: Figures): Costs {
  const of = (path: string): number => figures.of(path);
  const lone = of('append / lone / tideway / cpuUs');
  const appendUs = of('append / saturated / tideway / cpuUs');
  const batchUs = lone - appendUs;
  // A tick with one record in each write, and one with ten, less the appends: what remains is writes and records.
  const one = of('fan-out-1000 / unpaced / tideway / cpuUs') - (appendUs + batchUs) / 1_000;
  const ten = of('fan-out-bursts / ten a tick / tideway / cpuUs') - (10 * appendUs + batchUs) / 10_000;
  const writeUs = (one - ten) / 0.9;
  const comeback = (inCase: string): number => (of(`resume / ${inCase} / tideway / serverCpuMs`) * 1e3) / STORM_CLIENTS;
  return {
    processMb: of('idle / plain / tideway / emptyRssMb'),
    connectionKb: of('idle / plain / tideway, a channel each / rssKbEach'),
    tlsConnectionKb: of('idle / TLS / tideway / rssKbEach'),
    writeUs,
    recordUs: one - writeUs,
    appendUs,
    batchUs,
    // A lone append takes this much longer than the disk and the floor program do.
    batchTurnUs: (of('append / lone / tideway / p50Ms') - of('append / lone / floor / p50Ms')) * 1e3 - appendUs,
    syncMs: of('append / lone / floor / p50Ms'),
    frameBytes: of('fan-out-1000 / unpaced / tideway / frameBytes') - FAN_OUT_PAYLOAD,
    comebackUs: comeback('500 channels'),
    comebackJwtUs: comeback('a channel each, JWT'),
    logs: {
      redis: logCostsOf(figures, 'Redis'),
      nats: logCostsOf(figures, 'NATS'),
      rabbitmq: logCostsOf(figures, 'RabbitMQ'),
      kafka: logCostsOf(figures, 'Kafka'),
    },
  };
}

function logCostsOf(figures: Figures, broker: string): LogCosts {
  const both = figures.of(`log-ingest / ${broker}, live / tideway / brokerCpuUs`);
  const brokerReadUs = figures.of(`log-ingest / ${broker}, catching up / tideway / brokerCpuUs`);
  return {
    ingestUs: figures.of(`log-ingest / ${broker}, live / tideway / cpuUs`),
    brokerWriteUs: Math.max(0, both - brokerReadUs),
    brokerReadUs,
    latencyMs: figures.of(`log-latency / ${broker} / tideway / p50Ms`),
  };
}
