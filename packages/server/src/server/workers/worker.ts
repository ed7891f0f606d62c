/** One of several processes of a server: hub, transports and auth as a server alone has them, on the primary's log. */
import cluster from 'node:cluster';
import type { ServerOptions } from '../../ops/config.ts';
import { createNode } from '../../server.ts';
import type { Server } from '../server-contract.ts';
import { nodeEnv } from '../../env.ts';
import { WorkerLink } from './worker-link.ts';
import { WORKER_VARIABLE } from './worker-processes.ts';

/** Which worker of its server this process is; `undefined` where it is none. */
export function workerNumber(environment: Readonly<Record<string, string | undefined>>): number | undefined {
  const number = environment[WORKER_VARIABLE];
  return cluster.isWorker && number !== undefined ? Number(number) : undefined;
}

/**
 * Makes the server of a worker, which listens where the primary says.
 *
 * @param onEnd called when the primary wants it to end, or is gone
 */
export async function createWorker(
  options: ServerOptions,
  parts: { readonly number: number; readonly onDrain: (withinMs: number) => void; readonly onLost: () => void },
): Promise<Server> {
  const link = WorkerLink.open(options.env ?? nodeEnv);
  link.onLost = parts.onLost;
  link.onDrain = parts.onDrain;
  const { port, ticketKey } = await link.beginning;
  const { server, inside } = await createNode(options, {
    worker: parts.number,
    ticketKey: Buffer.from(ticketKey, 'base64'),
    openBackbones: (events) => Promise.resolve(link.backbones(events)),
    feedElsewhere: (url, identity) => link.readFeed(url, identity),
    renderMetrics: () => link.readMetrics(),
    tellFigures: (figures) => link.link.send({ op: 'figures', ...figures }),
  });
  link.onMeasure = inside.renderMetrics;
  return {
    ...server,
    url: undefined,
    async listen(more = {}) {
      const listening = await server.listen({ ...more, port });
      link.link.send({ op: 'listening', url: listening.url });
      return listening;
    },
  };
}
