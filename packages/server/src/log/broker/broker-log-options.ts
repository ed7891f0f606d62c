/** What a log on a broker is made of, and what it reports. */
import type { Env } from '../../env.ts';
import type { LogHealth } from '../log.ts';
import type { BrokerPort } from './broker-port.ts';

/** What an operator should hear of. */
export type BrokerLogEvent =
  /** More partitions than before cannot be reached; said again where the reason becomes a final one. */
  | { readonly event: 'down'; readonly health: LogHealth; readonly error: Error }
  /** Fewer than before. */
  | { readonly event: 'up'; readonly health: LogHealth };

/** What a view kept of a log's constants. */
export interface RememberedConstants {
  readonly epochs: readonly string[];
  readonly window: number;
}

export interface BrokerLogOptions {
  readonly port: BrokerPort;
  readonly env?: Env;
  /** Fixed when the log is made (8 where nothing is said); another number later is refused. */
  readonly partitions?: number | undefined;
  /** How many records the fold may look back (65,536): the same. */
  readonly window?: number | undefined;
  /** With these the log opens without its broker: what can be read from a view is, appends are refused. */
  readonly remembered?: RememberedConstants | undefined;
  /** Records of a partition that stay at least, where the log trims: 4 windows. Never fewer than the window. */
  readonly keepRecords?: number | undefined;
  readonly queueRecordsMax?: number;
  readonly queueBytesMax?: number;
  readonly report?: (event: BrokerLogEvent) => void;
}
