/**
 * A world with one model server and its network, and clients in it: what most tests of the client begin with.
 */
import type { Client } from '../src/client.ts';
import { connectIn, type ConnectOptions } from '../src/connect.ts';
import type { ChannelRecord } from '../src/record.ts';
import { ModelNetwork } from './model-network.ts';
import { ModelServer } from './model-server.ts';
import { World } from './world.ts';

// Loaded before any world begins: there it would take real time.
await import('../src/sse-link.ts');

export interface Scene {
  readonly world: World;
  readonly server: ModelServer;
  readonly network: ModelNetwork;
  readonly connect: (options?: Partial<ConnectOptions>) => Client;
}

export function createScene(seed = 1): Scene {
  const world = new World(seed);
  const server = new ModelServer();
  const network = new ModelNetwork(world, server);
  return {
    world,
    server,
    network,
    // Each its own environment: clients of one are one connection.
    connect: (options = {}) => connectIn(world.env(network), { url: 'http://model.test', ...options }),
  };
}

/** Reads until the end and keeps what came. */
export function collect<Item>(reader: AsyncIterable<Item>): {
  readonly items: Item[];
  error: unknown;
  isDone: boolean;
} {
  const result = { items: [] as Item[], error: undefined as unknown, isDone: false };
  const read = async () => {
    try {
      for await (const item of reader) result.items.push(item);
    } catch (error) {
      result.error = error;
    }
    result.isDone = true;
  };
  void read();
  return result;
}

export function dataOf(records: readonly ChannelRecord[]): unknown[] {
  return records.map((record) => record.data);
}
