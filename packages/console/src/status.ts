/** What the demo's supervisor tells its pages: how the nodes are doing, and the broker behind them. */

export interface NodeStatus {
  readonly state: 'starting' | 'up' | 'behind' | 'log down' | 'silent' | 'paused' | 'down' | 'stopped';
  readonly pid?: number;
  readonly restarts: number;
  /** How long it has been up. */
  readonly upMs?: number;
  readonly sessions: number;
  /** The client objects that are connected to it. */
  readonly instances: readonly string[];
}

export interface BrokerStatus {
  /** Such as `Redis`. */
  readonly name: string;
  readonly place: string;
  readonly state: 'starting' | 'up' | 'down';
  readonly pid?: number;
  /** The demo has started it, and kills it; else it cuts the nodes off from it. */
  readonly isOwn: boolean;
  /** Why the page cannot stop it. */
  readonly refusal?: string;
}

export interface DemoStatus {
  readonly nodes: readonly NodeStatus[];
  readonly broker?: BrokerStatus;
}

/** A node that can serve somebody. */
export function isServing({ state }: Pick<NodeStatus, 'state'>): boolean {
  return state === 'up' || state === 'behind' || state === 'log down';
}

/** All nodes and their broker as one lamp and a few words. */
export function inWords({ nodes, broker }: DemoStatus): { readonly lamp: string; readonly text: string } {
  const [only, ...others] = nodes;
  const away = broker === undefined || broker.state === 'up' ? '' : ', no broker';
  if (only !== undefined && others.length === 0) {
    const words = isServing(only) ? `up, pid ${only.pid}` : only.state === 'down' ? 'dead' : only.state;
    return { lamp: away === '' ? only.state : 'wait', text: `server ${words}${away}` };
  }
  const serving = nodes.filter(isServing).length;
  const lamp = serving === 0 ? 'down' : serving === nodes.length && away === '' ? 'up' : 'wait';
  return { lamp, text: `${serving === nodes.length ? '' : `${serving} of `}${nodes.length} nodes up${away}` };
}
