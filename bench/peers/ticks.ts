/**
 * What all peers in Node share: the records of a tick, the pacing of ticks, and the commands of the bench
 * (`run TICKS HZ BURST FRAME_BYTES CHANNELS`, one line on stdin each; the end of stdin is the end of the process).
 */
import { createInterface } from 'node:readline';
import { setImmediate as nextTurn, setTimeout as after } from 'node:timers/promises';

export interface Plan {
  readonly ticks: number;
  /** 0: as fast as it goes. */
  readonly hz: number;
  readonly burst: number;
  /** Bytes of the WebSocket message. */
  readonly frameBytes: number;
  /** Subscriber c follows channel c % channels; records go to the channels in turn. */
  readonly channels: number;
}

export interface TickRecord {
  readonly channel: number;
  /** Counts within the channel; ten digits always. */
  readonly n: number;
  /** The intended time on the monotonic clock, in nanoseconds, 19 digits. */
  readonly at: string;
}

/** The payload of a record with exactly that many bytes. */
export function payloadOf(record: TickRecord, bytes: number): { n: number; at: string; pad: string } {
  const bare = '{"n":1000000001,"at":"0000000000000000000","pad":""}'.length;
  return { n: record.n, at: record.at, pad: 'x'.repeat(Math.max(0, bytes - bare)) };
}

let appended = 0;

function recordsOf(plan: Plan, dueNs: bigint): TickRecord[] {
  const at = String(dueNs).padStart(19, '0');
  return Array.from({ length: plan.burst }, () => {
    const number = appended++;
    return { channel: number % plan.channels, n: 1_000_000_001 + Math.floor(number / plan.channels), at };
  });
}

/** Not before `dueNs`: timers count whole milliseconds and may fire early. Always a turn of the event loop at least. */
async function until(dueNs: bigint): Promise<void> {
  do {
    const waitMs = Number(dueNs - process.hrtime.bigint()) / 1e6;
    if (waitMs > 0) await after(waitMs);
    else await nextTurn();
  } while (process.hrtime.bigint() < dueNs);
}

async function run(plan: Plan, send: (records: readonly TickRecord[], plan: Plan) => void, backlogBytes: () => number) {
  const startNs = process.hrtime.bigint();
  for (let tick = 0; tick < plan.ticks; tick++) {
    const dueNs = plan.hz > 0 ? startNs + BigInt(Math.round((tick * 1e9) / plan.hz)) : process.hrtime.bigint();
    await until(dueNs);
    // Unpaced ticks may fill the sockets; nobody gains by growing buffers in user space.
    while (backlogBytes() > 256 * 1024) await after(1);
    send(recordsOf(plan, dueNs), plan);
  }
}

/**
 * Says `ready` with the port and obeys until stdin ends.
 *
 * @param send sends the records of one tick to all who follow their channels
 * @param backlogBytes what one socket still holds in user space
 */
export async function obey(
  port: number,
  send: (records: readonly TickRecord[], plan: Plan) => void,
  backlogBytes: () => number,
): Promise<never> {
  console.log(JSON.stringify({ event: 'ready', port }));
  for await (const line of createInterface({ input: process.stdin })) {
    const [command, ticks, hz, burst, frameBytes, channels] = line.split(' ');
    if (command !== 'run') throw new Error(`unknown command ${line}`);
    await run(
      {
        ticks: Number(ticks),
        hz: Number(hz),
        burst: Number(burst),
        frameBytes: Number(frameBytes),
        channels: Number(channels),
      },
      send,
      backlogBytes,
    );
    console.log(JSON.stringify({ event: 'done' }));
  }
  process.exit(0);
}
