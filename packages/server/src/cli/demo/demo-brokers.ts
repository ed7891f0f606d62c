/** Which broker `--log` means to the demo: whether nodes can share it, and starting it or laying a way to it. */
import { isOnBroker, parseLogAddress } from '../../log/registry.ts';
import { usageError } from '../exit-codes.ts';
import type { BrokerProgram } from './demo-broker-program.ts';
import { brokerPrograms } from './demo-broker-programs.ts';
import type { DemoBroker } from './demo-broker.ts';
import { CutBroker, endpointBehind } from './demo-cut-broker.ts';
import type { DemoLeash } from './demo-leash.ts';
import { OwnBroker } from './demo-own-broker.ts';

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
 * @throws CliError (usage) when it is no address of a log, or a scheme whose colon was forgotten
 */
export function isShared(log: string | undefined): boolean {
  if (log === undefined) return false;
  if (programOf(log) !== undefined) return true;
  if (programOf(`${log}:`) !== undefined) {
    throw usageError(`--log: "${log}" is a folder of that name; for the broker write --log ${log}:`);
  }
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
  return CutBroker.open({ log, behind: await endpointBehind(log), onChange });
}
