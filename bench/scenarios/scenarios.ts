/** All scenarios, in the order in which they run. */
import type { Scenario } from '../scenario.ts';
import { append } from './append.ts';
import { fanOut1000 } from './fan-out-1000.ts';
import { fanOut8000 } from './fan-out-8000.ts';
import { fanOutBursts } from './fan-out-bursts.ts';
import { fanOutChannels } from './fan-out-channels.ts';
import { fanOutGrowth } from './fan-out-growth.ts';
import { fanOutPayload } from './fan-out-payload.ts';
import { idle } from './idle.ts';
import { logAppend } from './log-append.ts';
import { logIngest } from './log-ingest.ts';
import { logLatency } from './log-latency.ts';
import { logRecovery } from './log-recovery.ts';
import { resume } from './resume.ts';
import { start } from './start.ts';
import { workers } from './workers.ts';

export const scenarios: readonly Scenario[] = [
  fanOut1000,
  fanOut8000,
  fanOutBursts,
  fanOutGrowth,
  fanOutPayload,
  fanOutChannels,
  workers,
  append,
  resume,
  idle,
  start,
  logLatency,
  logIngest,
  logAppend,
  logRecovery,
];
