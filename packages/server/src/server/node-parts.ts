/** Between a server and the processes it is made of: what a process is given, and what may be used of one. */
import type { Env } from '../env.ts';
import type { Hub } from '../hub/hub.ts';
import type { NodeSignals } from '../log/log.ts';
import type { ResolvedConfig } from '../ops/config.ts';
import type { Health } from '../ops/health.ts';
import type { Logger } from '../ops/logger.ts';
import type { Reading } from '../transport/http-records.ts';
import type { BackboneEvents, Backbones } from './backbones.ts';
import type { Figures } from './vitals.ts';

/** What a process that is one of several is given besides its configuration; a server alone has none of it. */
export interface NodeParts {
  /** Which worker it is. */
  readonly worker?: number;
  /** Instead of a log of its own. */
  readonly openBackbones?: (events: BackboneEvents) => Promise<Backbones>;
  /** How it reaches the other processes, where its log does not say so. */
  readonly signals?: NodeSignals;
  /** Instead of one of its own. */
  readonly ticketKey?: Uint8Array;
  /** Where the log is in another process: the answer to a request for a feed. */
  readonly feedElsewhere?: Reading['feedElsewhere'];
  /** The metrics of all processes, where there are several. */
  readonly renderMetrics?: () => Promise<string>;
  /** The newest figures of each worker, where clients are theirs. */
  readonly workerFigures?: () => readonly Figures[];
  /** Takes a worker's figures, once a second. */
  readonly tellFigures?: (figures: Figures) => void;
}

/** What only other rooms of the server may use of one. */
export interface Inside {
  readonly config: ResolvedConfig;
  readonly env: Env;
  readonly logger: Logger;
  readonly hub: Hub;
  readonly health: Health;
  readonly ticketKey: Uint8Array;
  readonly renderMetrics: () => string;
  readonly reading: Reading;
  /** Tells the other processes that no client comes here any more. */
  readonly leave: () => void;
  readonly onTrouble: (error: unknown) => void;
}
