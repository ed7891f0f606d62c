/**
 * How fast a node takes records of 200 bytes in from a log, and what that costs, beside the broker's own client, which
 * hands each record to an empty function.
 *
 * Catching up: the records are on the broker, the node's folder is empty; it is `ready` once its view holds them all.
 * What a start on an empty log takes is measured just before and left out. All of it counts: reading, checking, folding,
 * the view, LevelDB. Live: the broker's own client writes at the rate that a node must sustain, in another process; the
 * node delivers to one subscriber. Two cores hold the broker, the writer and the reader.
 */
import { ingestRates } from '../bars.ts';
import {
  brokerKinds,
  brokerTitles,
  fillLog,
  missingBroker,
  SharedBroker,
  startLogClient,
  startNode,
  type BrokerName,
} from '../brokers.ts';
import type { ChildEvent } from '../child.ts';
import { Meter } from '../meter.ts';
import { processCpu } from '../proc.ts';
import { Receiver, type Latency } from '../receiver.ts';
import type { Case, Sample, Scenario } from '../scenario.ts';
import { explained, helloText, subscribeText, tidewayDialect } from '../tideway.ts';

const payloadBytes = 200;
const channels = 100;

/** One broker, with what was prepared on it. */
class Room {
  readonly shared: SharedBroker;
  readonly #kind: BrokerName;
  readonly #records: number;
  #log: Promise<string> | undefined;
  #own: Promise<string> | undefined;

  constructor(kind: BrokerName, records: number) {
    this.shared = new SharedBroker(kind);
    this.#kind = kind;
    this.#records = records;
  }

  /** The address of a log that holds the records. */
  filledLog(): Promise<string> {
    this.#log ??= (async () => {
      const broker = await this.shared.get();
      const name = this.shared.newName();
      const address = broker.logAddress(name);
      // A node makes the log; the broker's own client writes into it as any foreign producer does.
      await (await startNode(address)).stop();
      await this.#fill({ log: name });
      return address;
    })();
    return this.#log;
  }

  /** The name of a stream of the client's own that holds the same. */
  filledStream(): Promise<string> {
    this.#own ??= (async () => {
      const own = this.shared.newName();
      await this.#fill({ own });
      return own;
    })();
    return this.#own;
  }

  async #fill(place: { readonly own: string } | { readonly log: string }): Promise<void> {
    const { url } = await this.shared.get();
    const options = { kind: this.#kind, url, place, channel: 'bench:ingest-', channels, payloadBytes };
    await fillLog(options, this.#records);
  }
}

async function catchUpNode(room: Room, records: number): Promise<Sample> {
  const full = await room.filledLog();
  const broker = await room.shared.get();
  const empty = await startNode(broker.logAddress(room.shared.newName()));
  const emptyCpuMs = processCpu(empty.pid).totalMs;
  await empty.stop();
  const brokerBeforeMs = processCpu(broker.pid).totalMs;
  const node = await startNode(full);
  try {
    const cpuMs = processCpu(node.pid).totalMs - emptyCpuMs;
    const brokerMs = processCpu(broker.pid).totalMs - brokerBeforeMs;
    await assertHolds(node.port, records);
    return rates(records, { wallMs: node.startMs - empty.startMs, cpuMs, brokerMs });
  } catch (error) {
    throw explained(error, node);
  } finally {
    await node.stop();
  }
}

/** The newest record of the last channel must be the last one written: else the node was ready too early. */
async function assertHolds(port: number, records: number): Promise<void> {
  const channel = `bench:ingest-${channels - 1}`;
  const answer = await fetch(`http://127.0.0.1:${port}/v1/records?channel=${channel}&limit=1`);
  const text = await answer.text();
  if (text.includes(`"n":${1_000_000_000 + records}`)) return;
  throw new Error(`the node was ready without the newest record of ${channel}: ${answer.status} ${text.slice(0, 200)}`);
}

async function catchUpBare(room: Room, records: number): Promise<Sample> {
  const own = await room.filledStream();
  const broker = await room.shared.get();
  const brokerBeforeMs = processCpu(broker.pid).totalMs;
  const { kind, url } = broker;
  const work = { do: 'read', timed: false } as const;
  const client = await startLogClient({ kind, url, place: { own }, channel: '', payloadBytes, work });
  try {
    client.send(`until ${records}`);
    const reached = await client.next('reached');
    const brokerMs = processCpu(broker.pid).totalMs - brokerBeforeMs;
    return rates(records, { ...spentOf(reached), brokerMs });
  } finally {
    await client.stop();
  }
}

/** The client is ours: its report has what `readOn` in log-client.ts puts there. */
function spentOf(reached: ChildEvent): { readonly wallMs: number; readonly cpuMs: number } {
  return { wallMs: Number(reached['wallMs']), cpuMs: Number(reached['cpuMs']) };
}

function rates(records: number, spent: { readonly wallMs: number; readonly cpuMs: number; readonly brokerMs: number }) {
  return {
    perSecond: (records / spent.wallMs) * 1e3,
    cpuUs: (spent.cpuMs / records) * 1e3,
    brokerCpuUs: (spent.brokerMs / records) * 1e3,
  };
}

async function liveNode(room: Room, rate: number, seconds: number): Promise<Sample> {
  const broker = await room.shared.get();
  const log = room.shared.newName();
  const channel = 'bench:live';
  const node = await startNode(broker.logAddress(log));
  const dialect = tidewayDialect([[helloText('bench-live'), subscribeText(channel)]]);
  const receiver = new Receiver({ port: node.port, connections: 1, dialect, sampleEvery: 1 });
  const records = rate * seconds;
  const { kind, url } = broker;
  const work = { do: 'pace', rate, records } as const;
  const client = await startLogClient({ kind, url, place: { log }, channel, payloadBytes, work });
  try {
    await receiver.ready();
    await receiver.reset();
    const meter = new Meter(node.pid, [receiver.pid, client.pid, broker.pid]);
    const brokerBeforeMs = processCpu(broker.pid).totalMs;
    client.send('go');
    const received = await receiver.until(records);
    const brokerMs = processCpu(broker.pid).totalMs - brokerBeforeMs;
    if (received.lost > 0 || received.repeated > 0) {
      throw new Error(`${received.lost} records were lost, ${received.repeated} came twice`);
    }
    const { serverMs, otherPercent } = meter.read();
    const p99Ms = received.latencyMs?.p99 ?? Number.NaN;
    return { ...rates(records, { wallMs: received.wallMs, cpuMs: serverMs, brokerMs }), p99Ms, otherPercent };
  } catch (error) {
    throw explained(error, node);
  } finally {
    await Promise.all([client.stop(), receiver.stop()]);
    await node.stop();
  }
}

async function liveBare(room: Room, rate: number, seconds: number): Promise<Sample> {
  const broker = await room.shared.get();
  const own = room.shared.newName();
  const { kind, url } = broker;
  const options = { kind, url, place: { own }, channel: 'bench', payloadBytes };
  const records = rate * seconds;
  const writer = await startLogClient({ ...options, work: { do: 'pace', rate, records } });
  const reader = await startLogClient({ ...options, work: { do: 'read', timed: true } });
  try {
    reader.send(`until ${records}`);
    const brokerBeforeMs = processCpu(broker.pid).totalMs;
    writer.send('go');
    const reached = await reader.next('reached');
    const brokerMs = processCpu(broker.pid).totalMs - brokerBeforeMs;
    const p99Ms = (reached['latencyMs'] as Latency).p99;
    return { ...rates(records, { ...spentOf(reached), brokerMs }), p99Ms };
  } finally {
    await Promise.all([writer.stop(), reader.stop()]);
  }
}

export const logIngest: Scenario = {
  name: 'log-ingest',
  title: 'records of 200 B that a node takes in from a log: catching up, and live at the rate it must sustain',
  columns: ['perSecond', 'cpuUs', 'brokerCpuUs', 'p99Ms'],
  async open(settings) {
    const records = settings.quick ? 20_000 : 100_000;
    const seconds = settings.quick ? 1 : 2;
    const rooms = brokerKinds.map((kind) => ({ kind, missing: missingBroker(kind), room: new Room(kind, records) }));
    const cases = rooms.flatMap(({ kind, missing, room }): Case[] => {
      const rate = ingestRates[kind];
      return [
        {
          name: `${brokerTitles[kind]}, catching up`,
          contenders: [
            { name: 'tideway', missing, measure: () => catchUpNode(room, records) },
            { name: 'bare client', missing, measure: () => catchUpBare(room, records) },
          ],
        },
        {
          name: `${brokerTitles[kind]}, live`,
          contenders: [
            { name: 'tideway', missing, measure: () => liveNode(room, rate, seconds) },
            { name: 'bare client', missing, measure: () => liveBare(room, rate, seconds) },
          ],
        },
      ];
    });
    return {
      cases,
      async close() {
        await Promise.all(rooms.map(({ room }) => room.shared.stop()));
      },
    };
  },
};
