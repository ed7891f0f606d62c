/**
 * The broker behind the demo's nodes, as its button sees it: one that the demo has started itself and kills, or anybody's,
 * from which it cuts the nodes off.
 */
import { isOnBroker, parseLogAddress } from '../log/registry.ts';
import { brokerPrograms, type BrokerProgram } from './demo-broker-programs.ts';
import { CutBroker, placeBehind } from './demo-cut-broker.ts';
import type { DemoLeash } from './demo-leash.ts';
import { OwnBroker } from './demo-own-broker.ts';
import { usageError } from './exit-codes.ts';

export interface BrokerStatus {
  /** Such as `Redis`. */
  readonly name: string;
  /** `host:port`. */
  readonly place: string;
  readonly state: 'starting' | 'up' | 'down';
  /** Of the demo's own broker, while it runs. */
  readonly pid: number | undefined;
  /** Whether the demo has started it: stopping it is a `kill -9` then, else a cut of the way there. */
  readonly isOwn: boolean;
  /** Why there is no button, in words. */
  readonly refusal: string | undefined;
}

export interface DemoBroker {
  /** What the nodes are given. */
  readonly address: string;
  readonly status: BrokerStatus;
  stop(): Promise<void>;
  start(): Promise<void>;
  /** For good. */
  close(): Promise<void>;
}

export interface DemoBrokerOptions {
  /** A log on a broker, or the bare scheme of one that is to be started, such as `redis:`. */
  readonly log: string;
  /** For the data of one that is started. */
  readonly folder: string;
  readonly leash: DemoLeash;
  readonly onChange: () => void;
}

/** Of an address that names no place, such as `redis:`: the broker that is started for it. */
function programOf(log: string): BrokerProgram | undefined {
  const scheme = /^([a-z]+):(?:\/\/)?$/i.exec(log)?.[1]?.toLowerCase() ?? '';
  return Object.hasOwn(brokerPrograms, scheme) ? brokerPrograms[scheme] : undefined;
}

/** What the broker is called that is started for an address which names no place. */
export function ownBrokerName(log: string): string | undefined {
  return programOf(log)?.name;
}

/**
 * Whether several nodes can share this log.
 *
 * @throws CliError (usage) when it is no address of a log
 */
export function isShared(log: string | undefined): boolean {
  if (log === undefined) return false;
  if (programOf(log) !== undefined) return true;
  try {
    return isOnBroker(parseLogAddress(log));
  } catch (error) {
    throw usageError(`--log: ${(error as Error).message}`);
  }
}

/**
 * Starts the broker, or lays a way to it that can be cut.
 *
 * @throws CliError when its program is missing or does not start, or nobody answers at the address
 */
export async function openBroker(options: DemoBrokerOptions): Promise<DemoBroker> {
  const { log, folder, leash, onChange } = options;
  const program = programOf(log);
  if (program !== undefined) return OwnBroker.start({ program, folder, leash, onChange });
  return CutBroker.open({ log, behind: await placeBehind(log), onChange });
}
