/**
 * The broker behind the demo's nodes, as its button sees it: one that the demo has started itself and kills, or anybody's,
 * from which it cuts the nodes off.
 */
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
