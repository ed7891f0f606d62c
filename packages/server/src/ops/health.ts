/**
 * What a load balancer asks: does the process turn (`/healthz`), should it get new sessions (`/readyz`). A lost log is
 * not "not ready": reads are still served, and one blip of the log must not empty the balancer.
 */

export type NodeState = 'starting' | 'ready' | 'draining' | 'stopped';

export interface HealthAnswer {
  readonly status: 200 | 503;
  readonly body: { readonly [name: string]: string };
}

export interface Health {
  readonly version: string;
  readonly state: NodeState;
  readonly isLogUp: boolean;
  setState(state: NodeState): void;
  setLog(state: 'up' | 'down'): void;
  /** Needs nothing but this turn of the event loop. */
  healthz(): HealthAnswer;
  readyz(): HealthAnswer;
}

export function createHealth(options: { readonly version: string }): Health {
  const { version } = options;
  let state: NodeState = 'starting';
  let log: 'up' | 'down' = 'up';
  return {
    version,
    get state() {
      return state;
    },
    get isLogUp() {
      return log === 'up';
    },
    setState: (next) => void (state = next),
    setLog: (next) => void (log = next),
    healthz: () => ({ status: 200, body: { status: 'ok', version } }),
    readyz: () => ({ status: state === 'ready' ? 200 : 503, body: { status: state, log, version } }),
  };
}
