/** One bridge at work, put together: its broker, the server, and whom it tells. */
import { nodeEnv } from '../env.ts';
import type { InboundBridge, OutboundBridge, ResolvedBridge } from './bridge-options.ts';
import { runInbound } from './inbound.ts';
import { runOutbound } from './outbound.ts';
import { Settler, type Node, type Settled } from './settler.ts';
import { openSink } from './sinks.ts';
import { openSource } from './sources.ts';
import { Trouble } from './trouble.ts';

/** What somebody who watches a bridge is told. */
export interface BridgeReport {
  /** It moves what there is, or another copy does and this one waits. */
  state(state: 'ready' | 'standby'): void;
  /** Why it does not go on; `undefined` when it does again. */
  waits(at: 'broker' | 'node', why: string | undefined): void;
  /** Something went to the dead letter channel: where it stood, and why. */
  dead(place: string, code: string | undefined, why: string): void;
  /** Records will not come: of one channel, or of many. */
  gap(reason: string, channel: string | undefined): void;
}

/** Where the server is, and as whom the bridge is there. */
export interface NodeAccess extends Node {
  readonly url: string;
  readonly token: string | undefined;
}

export interface RunningBridge {
  /** What it has done so far. */
  readonly totals: Readonly<Settled>;
  /** Ends with the signal, when what was under way is finished. Rejects where it cannot begin until somebody acts. */
  readonly ended: Promise<void>;
}

export function runBridge(
  bridge: ResolvedBridge,
  node: NodeAccess,
  report: BridgeReport,
  signal: AbortSignal,
): RunningBridge {
  return bridge.direction === 'in' ? runIn(bridge, node, report, signal) : runOut(bridge, node, report, signal);
}

function runIn(bridge: InboundBridge, node: Node, report: BridgeReport, signal: AbortSignal): RunningBridge {
  const { name, broker, channel, recordKey, rid, payload, deadLetter, group } = bridge;
  const nodeTrouble = new Trouble(nodeEnv, (why) => report.waits('node', why));
  const settler = new Settler({
    node,
    mapping: { channel, recordKey, rid, payload },
    dead: { bridge: name, source: broker.place, channel: deadLetter },
    trouble: nodeTrouble,
    onDead: ({ place }, code, why) => report.dead(place, code, why),
    env: nodeEnv,
  });
  const running = runInbound(
    {
      open: () => openSource(broker, group),
      settler,
      trouble: new Trouble(nodeEnv, (why) => report.waits('broker', why)),
      onState: (state) => report.state(state),
    },
    signal,
  );
  return { totals: settler.totals, ended: running.finally(() => nodeTrouble.stop()) };
}

function runOut(bridge: OutboundBridge, node: NodeAccess, report: BridgeReport, signal: AbortSignal): RunningBridge {
  const { broker, channels, deadLetter, group } = bridge;
  const totals: Settled = { stored: 0, duplicates: 0, dead: 0 };
  const ended = runOutbound(
    {
      open: () => openSink(broker),
      ...{ url: node.url, key: node.token, group, channels, deadLetter },
      brokerTrouble: new Trouble(nodeEnv, (why) => report.waits('broker', why)),
      nodeTrouble: new Trouble(nodeEnv, (why) => report.waits('node', why)),
      onReady: () => report.state('ready'),
      onWritten: () => totals.stored++,
      onDead: ({ channel, cursor }, why) => {
        totals.dead++;
        report.dead(`channel ${channel}, cursor ${cursor}`, undefined, why);
      },
      onGap: ({ reason, channel }) => report.gap(reason, channel),
    },
    signal,
  );
  return { totals, ended };
}
