/**
 * What a load balancer asks: does the process turn (`/healthz`), should it get new sessions (`/readyz`). A lost log is
 * not "not ready": reads are still served, and one blip of the log must not empty the balancer. A node that still fills
 * its view serves what it can, and is for a balancer that has no other.
 */
import type { LogHealth } from '../log/log.ts';

export type NodeState = 'starting' | 'ready' | 'draining' | 'stopped';

export interface HealthAnswer {
  readonly status: 200 | 503;
  readonly body: { readonly [name: string]: string | number | readonly number[] };
}

export interface Health {
  readonly version: string;
  readonly state: NodeState;
  readonly log: LogHealth;
  /** All of its partitions take records. */
  readonly isLogUp: boolean;
  setState(state: NodeState): void;
  setLog(log: LogHealth): void;
  /** From now on asks this how much of the log is still to be read, in positions. */
  watchFilling(toFill: () => number): void;
  /** Needs nothing but this turn of the event loop. */
  healthz(): HealthAnswer;
  /** @param whileFilling whether a node that fills its view is ready, too */
  readyz(whileFilling: boolean): HealthAnswer;
}

export function createHealth(options: { readonly version: string }): Health {
  const { version } = options;
  let state: NodeState = 'starting';
  let log: LogHealth = { partitions: 1, down: [] };
  const isLogUp = (): boolean => log.down.length === 0;
  let toFill = (): number => 0;
  return {
    version,
    get state() {
      return state;
    },
    get log() {
      return log;
    },
    get isLogUp() {
      return isLogUp();
    },
    setState: (next) => void (state = next),
    setLog: (next) => void (log = next),
    watchFilling: (read) => void (toFill = read),
    healthz: () => ({ status: 200, body: { status: 'ok', version } }),
    readyz(whileFilling) {
      const rest = { log: isLogUp() ? 'up' : 'down', ...partitionsDown(log), version };
      const left = state === 'ready' ? toFill() : 0;
      if (left > 0) return { status: whileFilling ? 200 : 503, body: { status: 'filling', toFill: left, ...rest } };
      return { status: state === 'ready' ? 200 : 503, body: { status: state, ...rest } };
    },
  };
}

/** Which they are, where they are not all and not none. */
export function partitionsDown({ partitions, down }: LogHealth): { readonly partitionsDown?: readonly number[] } {
  return down.length === 0 || down.length === partitions ? {} : { partitionsDown: down };
}
