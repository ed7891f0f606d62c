/**
 * `tideway/service`: consumers that share the events of many channels. A client of the HTTP API alone: it runs in any
 * process, against any node on any log.
 */
import { Consumption, type Consumer } from './consumer.ts';
import { settingsOf, type ConsumeOptions } from './options.ts';

export type { Consumer } from './consumer.ts';
export type { ServiceEnv } from './env.ts';
export type { Attempt, ConsumeOptions, ServiceGap, ServiceRecord } from './options.ts';

/**
 * Handles the records of channels at least once, each channel in order, shared with all consumers of the same group.
 *
 * @throws RangeError in words where an option is not allowed
 * @example
 * const stock = consume({ url, key, group: 'stock', channels: ['order:*'], handle: async (order) => reserve(order.data) });
 * await stock.ready;
 * process.once('SIGTERM', () => void stock.close());
 */
export function consume(options: ConsumeOptions): Consumer {
  return new Consumption(settingsOf(options));
}
