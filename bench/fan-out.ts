/**
 * One measurement of fan-out, the same for every contender: N subscribers, a warm-up, then a plan of ticks; CPU of the
 * server's process per delivery, read from outside.
 *
 * What can be compared and what cannot: the floor and the peers make their records up in their own process, number
 * nothing and keep nothing. A Tideway server gets each record as an append over a connection, makes it durable (one
 * synced write), folds and stores it, answers, and only then fans it out. All of that is in its CPU figure: a few
 * hundredths of it with 1,000 subscribers, a third with 100. Unpaced, peers begin a tick when the last one is written;
 * Tideway's writer sends the next batch when the last one is acknowledged, which is before it is fanned out.
 * Latency counts from the intended time. For a Tideway server that is before the append, and unpaced a record waits
 * behind the fan-out of the last one: there it says how long a tick takes, paced how long a record takes.
 * Unpaced, the receiver may be as busy as the C floor: a busy receiver need not be woken, which makes the floor's sends
 * cheaper than anybody's at a calm pace. The table says so where it happens; the paced case has no such advantage.
 * All frames are equally long: a peer's record is padded by what a Tideway header takes.
 */
import { encodeRecordHeader } from '@tideway/protocol';
import { Meter } from './meter.ts';
import { processRssBytes } from './proc.ts';
import { Receiver, type Dialect, type Received } from './receiver.ts';
import type { Sample } from './scenario.ts';

export interface FanOutPlan {
  readonly ticks: number;
  /** 0: unpaced. */
  readonly hz: number;
  /** Records a tick. */
  readonly burst: number;
  readonly payloadBytes: number;
  readonly channels: number;
}

export interface FanOutServer {
  readonly pid: number;
  readonly port: number;
  readonly dialect: Dialect;
  prepare(plan: FanOutPlan): Promise<FanOutRun>;
  /** The error, with what the server has to say to it. */
  explained?(error: unknown): Error;
  stop(): Promise<void>;
}

/** A plan, ready to be carried out once. */
export interface FanOutRun {
  /** Processes whose work is not the server's. */
  readonly generators: readonly number[];
  /** Resolves when all is sent. */
  send(): Promise<void>;
  close(): Promise<void>;
}

/** Starts a server that takes that many subscribers, spread over that many channels. */
export type StartFanOut = (options: {
  readonly connections: number;
  readonly channels: number;
}) => Promise<FanOutServer>;

const headerBytes = encodeRecordHeader({
  channel: 'bench:fan-out',
  cursor: '------.3123.----',
  prev: '------.3123.----',
  time: 1_764_000_000_000,
  rid: '1234567890123456789012',
}).length;

/** Bytes of the WebSocket message of a record with that payload. */
export function frameBytesOf(payloadBytes: number): number {
  return headerBytes + 1 + payloadBytes;
}

export async function measureFanOut(
  start: StartFanOut,
  options: { readonly connections: number; readonly plan: FanOutPlan; readonly warmTicks: number },
): Promise<Sample> {
  const { connections, plan } = options;
  const server = await start({ connections, channels: plan.channels });
  try {
    const receiver = new Receiver({ port: server.port, connections, dialect: server.dialect });
    try {
      await receiver.ready();
      await sendAll(server, receiver, connections, { ...plan, ticks: options.warmTicks });
      const { spent, received } = await sendAll(server, receiver, connections, plan);
      checkComplete(received, plan);
      const deliveries = received.counted;
      return {
        cpuUs: (spent.serverMs * 1e3) / deliveries,
        userUs: (spent.serverUserMs * 1e3) / deliveries,
        deliveriesPerSecond: (deliveries / received.wallMs) * 1e3,
        ...(received.latencyMs ? { p50Ms: received.latencyMs.p50, p99Ms: received.latencyMs.p99 } : {}),
        rssMb: processRssBytes(server.pid) / 1e6,
        frameBytes: received.bytes / deliveries,
        generatorPercent: spent.generatorPercent,
        otherPercent: spent.otherPercent,
      };
    } finally {
      await receiver.stop();
    }
  } catch (error) {
    throw server.explained?.(error) ?? error;
  } finally {
    await server.stop();
  }
}

async function sendAll(server: FanOutServer, receiver: Receiver, connections: number, plan: FanOutPlan) {
  const run = await server.prepare(plan);
  try {
    await receiver.reset();
    const meter = new Meter(server.pid, [receiver.pid, ...run.generators]);
    const expected = (plan.ticks * plan.burst * connections) / plan.channels;
    const [received] = await Promise.all([receiver.until(expected), run.send()]);
    return { spent: meter.read(), received };
  } finally {
    await run.close();
  }
}

/** A delivery that is missing or came twice makes the figure worthless: it fails the measurement. */
function checkComplete(received: Received, plan: FanOutPlan): void {
  const each = (plan.ticks * plan.burst) / plan.channels;
  if (received.least !== each || received.most !== each || received.lost > 0 || received.repeated > 0) {
    throw new Error(
      `every subscriber must get ${each} records once, in order; they got ${received.least} to ${received.most}, ` +
        `${received.lost} lost, ${received.repeated} repeated`,
    );
  }
}
