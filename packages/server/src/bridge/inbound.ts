/**
 * From a broker to channels: takes messages from a source, settles them, and only then moves the source's place. One life
 * of the source after another; each begins where the one before it was sure of, so that nothing is lost, and what comes
 * again is known by its id.
 */
import { nodeEnv, pause, type Env } from '../env.ts';
import { BrokerError } from '../log/broker/broker-port.ts';
import { type OpenSource, type Source, StandBy } from './message.ts';
import { backOffMs } from './patience.ts';
import type { Settler } from './settler.ts';
import type { Trouble } from './trouble.ts';

export interface InboundOptions {
  readonly open: OpenSource;
  readonly settler: Settler;
  /** That of the broker; the settler has one for the node. */
  readonly trouble: Trouble;
  /** A life began, or another copy of the bridge has it. */
  readonly onState: (state: 'ready' | 'standby') => void;
  readonly env?: Env;
}

const STANDBY_MS = 1_000;
/** A life that lasted so long is no part of the trouble before it. */
const STEADY_MS = 1_000;

/**
 * Runs until the signal is aborted, and finishes what is under way then.
 *
 * @throws BrokerError in words, where the first life cannot begin until somebody acts, or what is read is no source
 */
export async function runInbound(options: InboundOptions, signal: AbortSignal): Promise<void> {
  const { settler, trouble, onState, env = nodeEnv } = options;
  let wasOpen = false;
  for (let failures = 0; !signal.aborted;) {
    let source: Source | undefined;
    let cancelSteady: (() => void) | undefined;
    try {
      source = await options.open(signal);
      wasOpen = true;
      onState('ready');
      cancelSteady = env.setTimer(STEADY_MS, () => {
        failures = 0;
        trouble.over();
      });
      await carry(source, settler, signal);
    } catch (error) {
      if (error instanceof StandBy) {
        trouble.over();
        onState('standby');
        await pause(env, STANDBY_MS, signal);
        continue;
      }
      // Of a life that has begun: what is read there can never be bridged.
      if ((!wasOpen || source !== undefined) && error instanceof BrokerError && error.isFinal) throw error;
      if (signal.aborted) break;
      trouble.set((error as Error).message);
      await pause(env, backOffMs(env, failures++), signal);
    } finally {
      cancelSteady?.();
      await source?.close();
    }
  }
  trouble.stop();
}

async function carry(source: Source, settler: Settler, signal: AbortSignal): Promise<void> {
  for (;;) {
    const messages = await source.next(signal);
    if (messages.length === 0 || !(await settler.settle(messages, signal))) return;
    await source.settled();
  }
}
