/**
 * A resume storm on a node whose log is a broker: 5,000 clients, each 100 records behind, ten on each of 500 channels. All
 * is read from the node's view: a proxy before the broker counts every record that the broker sends meanwhile, and there
 * must be none.
 */
import { brokerKinds, brokerTitles, missingBroker, SharedBroker, startNode } from '../brokers.ts';
import { Meter } from '../meter.ts';
import { Receiver } from '../receiver.ts';
import type { Sample, Scenario } from '../scenario.ts';
import { assertEachCaughtUp, fillChannels, recordsBehind } from '../storm.ts';
import { explained, helloText, newDataFolder, removeDataFolder, subscribeText, tidewayDialect } from '../tideway.ts';

const prefix = 'bench:recovery-';
/** In the payload of each record of the appender, and in nothing else that a broker says. */
const mark = '"pad":"';

interface Storm {
  readonly channels: number;
  readonly clients: number;
}

interface Prepared {
  /** Of the node that has everything in its view. */
  readonly dataFolder: string;
  readonly address: string;
  readonly cursors: readonly string[];
}

async function prepare(shared: SharedBroker, { channels }: Storm): Promise<Prepared> {
  const broker = await shared.get();
  const dataFolder = newDataFolder();
  const address = broker.countedAddress(shared.newName());
  const node = await startNode(address, { dataFolder });
  try {
    const cursors = await fillChannels(node.port, { channel: prefix, channels, dataFolder });
    // A node looks at the record at its place from time to time: that one shall be without the mark.
    const url = `http://127.0.0.1:${node.port}/v1/records?channel=bench:last`;
    const answer = await fetch(url, { method: 'POST', body: '"last"' });
    if (!answer.ok) throw new Error(`the last append was answered ${answer.status}`);
    const { texts } = await broker.counted();
    if (texts < channels * (recordsBehind + 1)) throw new Error(`the proxy saw ${texts} records come: it counts wrong`);
    return { dataFolder, address, cursors };
  } catch (error) {
    throw explained(error, node);
  } finally {
    await node.stop();
  }
}

async function measure(shared: SharedBroker, prepared: Prepared, { clients }: Storm): Promise<Sample> {
  const broker = await shared.get();
  const { cursors, dataFolder, address } = prepared;
  const node = await startNode(address, { dataFolder });
  const scripts = Array.from({ length: clients }, (_, client) => [
    helloText(`client-${client}`),
    subscribeText(`${prefix}${client % cursors.length}`, cursors[client % cursors.length]),
  ]);
  try {
    const before = await broker.counted();
    const meter = new Meter(node.pid, []);
    const receiver = new Receiver({
      port: node.port,
      connections: clients,
      opening: 256,
      sampleEvery: 1,
      dialect: tidewayDialect(scripts),
    });
    try {
      const there = await receiver.until(clients * recordsBehind);
      const after = await broker.counted();
      const spent = meter.read();
      assertEachCaughtUp(there);
      return {
        clients,
        allThereMs: there.sinceOpenMs,
        serverCpuMs: spent.serverMs,
        brokerRecords: after.texts - before.texts,
        brokerKb: (after.bytes - before.bytes) / 1e3,
        deliveredMb: there.bytes / 1e6,
      };
    } finally {
      await receiver.stop();
    }
  } catch (error) {
    throw explained(error, node);
  } finally {
    await node.stop();
  }
}

export const logRecovery: Scenario = {
  name: 'log-recovery',
  title: '5,000 clients, each 100 records behind, resume on a node: what the broker sends meanwhile',
  columns: ['allThereMs', 'serverCpuMs', 'brokerRecords', 'brokerKb', 'deliveredMb'],
  async open({ quick }) {
    const storm = quick ? { channels: 50, clients: 500 } : { channels: 500, clients: 5_000 };
    const brokers = brokerKinds.map((kind) => {
      const shared = new SharedBroker(kind, mark);
      let preparing: Promise<Prepared> | undefined;
      const prepared = (): Promise<Prepared> => (preparing ??= prepare(shared, storm));
      return { kind, missing: missingBroker(kind), shared, prepared, folder: () => preparing };
    });
    return {
      cases: brokers.map(({ kind, missing, shared, prepared }) => ({
        name: brokerTitles[kind],
        contenders: [{ name: 'tideway', missing, measure: async () => measure(shared, await prepared(), storm) }],
      })),
      async close() {
        for (const { shared, folder } of brokers) {
          await shared.stop();
          const made = await folder()?.catch(() => undefined);
          if (made !== undefined) removeDataFolder(made.dataFolder);
        }
      },
    };
  },
};
