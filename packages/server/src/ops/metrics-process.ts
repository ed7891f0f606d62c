/**
 * What the process itself is doing: CPU, memory, descriptors, event loop. Read at a scrape; costs nothing in between but
 * the loop's own histogram, which Node keeps natively.
 */
import { statfsSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { countDescriptors } from './descriptors.ts';
import type { Metrics } from './metrics.ts';

/** How finely the event loop's delay is measured; its own timer wakes 50 times a second. */
const RESOLUTION_MS = 20;

/**
 * Starts measuring; the returned function stops it.
 *
 * @param folder whose disk is looked at; absent: none is
 */
export function watchProcess(metrics: Metrics, folder?: string): () => void {
  const loop = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  loop.enable();
  metrics.processStart.of().value = Math.round((Date.now() - process.uptime() * 1000) / 1000);
  metrics.onScrape(() => {
    const { user, system } = process.cpuUsage();
    const { open, max } = countDescriptors();
    const { rss, heapUsed, external } = memoryUsage();
    metrics.processCpu.of().value = (user + system) / 1e6;
    metrics.processMemory.of().value = rss;
    metrics.openDescriptors.of().value = open ?? 0;
    metrics.maxDescriptors.of().value = max ?? 0;
    if (folder !== undefined) metrics.diskFree.of().value = diskFreeBytes(folder);
    metrics.heapUsed.of().value = heapUsed;
    metrics.externalMemory.of().value = external;
    metrics.eventLoopLag.of('0.5').value = lagSeconds(loop.percentile(50));
    metrics.eventLoopLag.of('0.99').value = lagSeconds(loop.percentile(99));
    metrics.eventLoopLag.of('1').value = lagSeconds(loop.max);
    loop.reset();
  });
  return () => loop.disable();
}

/** The histogram has the time between two wakings, in nanoseconds; what exceeds the resolution is delay. */
function lagSeconds(ns: number): number {
  return Number.isFinite(ns) ? Math.max(0, ns / 1e9 - RESOLUTION_MS / 1e3) : 0;
}

/** Reads a file of the system, for which there may be no descriptor. */
function memoryUsage(): Pick<NodeJS.MemoryUsage, 'rss' | 'heapUsed' | 'external'> {
  try {
    return process.memoryUsage();
  } catch {
    return { rss: Number.NaN, heapUsed: Number.NaN, external: Number.NaN };
  }
}

/** `NaN` where it cannot be found out. */
export function diskFreeBytes(folder: string): number {
  try {
    const { bavail, bsize } = statfsSync(folder);
    return bavail * bsize;
  } catch {
    return Number.NaN;
  }
}
