/** What is known rather than counted: read from the hub and the node's health at each scrape. */
import type { Hub } from '../hub/hub.ts';
import { limitNames } from '../hub/measures.ts';
import type { Health } from './health.ts';
import type { Metrics } from './metrics.ts';

/** @param nodes how many are on the log, this one included */
export function watchHub(metrics: Metrics, hub: Hub, health: Health, nodes: () => number): void {
  metrics.buildInfo.of(health.version).value = 1;
  metrics.onScrape(() => {
    metrics.nodeReady.of().value = health.state === 'ready' ? 1 : 0;
    metrics.nodeDraining.of().value = health.state === 'draining' ? 1 : 0;
    metrics.nodes.of().value = nodes();
    metrics.toFill.of().value = hub.backbones.toFill;
    metrics.logUp.of().value = health.isLogUp ? 1 : 0;
    const { partitions, down } = health.log;
    for (let n = 0; n < partitions; n++) metrics.partitionUp.of(String(n)).value = down.includes(n) ? 0 : 1;
    collectSessions(metrics, hub);
    collectFigures(metrics, hub);
  });
}

function collectSessions(metrics: Metrics, hub: Hub): void {
  const open = { websocket: 0, sse: 0, local: 0, link: 0 };
  let behind = 0;
  for (const session of hub.sessions) {
    open[session.connection.transport]++;
    if (session.behind.size > 0) behind++;
  }
  for (const [transport, count] of Object.entries(open)) metrics.sessions.of(transport).value = count;
  metrics.outboxBehind.of().value = behind;
}

function collectFigures(metrics: Metrics, hub: Hub): void {
  const { figures } = hub;
  metrics.subscriptions.of().value = hub.subscriptions;
  metrics.channels.of().value = hub.channels;
  metrics.appendsInFlight.of().value = hub.backbones.appendsInFlight;
  metrics.ridWindow.of().value = hub.backbones.ridWindowMs() / 1000;
  metrics.outboxBytes.of().value = hub.budget.outboxBytes;
  metrics.httpBytes.of().value = hub.budget.answerBytes + hub.budget.bodyBytes;
  metrics.ringBytes.of().value = hub.rings.bytes;
  metrics.framesReceived.of().value = figures.framesReceived;
  metrics.bytesReceived.of().value = figures.bytesReceived;
  metrics.chunksSent.of().value = figures.chunksSent;
  metrics.bytesSent.of().value = figures.bytesSent;
  metrics.socketWrites.of().value = figures.socketWrites;
  metrics.recordsDelivered.of().value = figures.recordsDelivered;
  metrics.signalsDelivered.of().value = figures.signalsDelivered;
  metrics.signalsDropped.of().value = figures.signalsDropped;
  metrics.outboxOverflows.of().value = figures.outboxOverflows;
  metrics.clientGaps.of().value = figures.clientGaps;
  metrics.clientDuplicates.of().value = figures.clientDuplicates;
  metrics.tokenRefreshes.of().value = figures.tokenRefreshes;
  for (const limit of limitNames) metrics.limitHits.of(limit).value = figures.limitHits[limit] ?? 0;
}
