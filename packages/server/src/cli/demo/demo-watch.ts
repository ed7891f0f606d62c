/** What the demo's balancer and its page want to know of a node: asked of the node itself, as a real balancer does. */

/** How a node is doing, by its own words. */
export interface NodeReport {
  /** Takes new connections: `/readyz` says 200. */
  readonly isReady: boolean;
  readonly isLogUp: boolean;
  readonly sessions: number;
  /** The client objects that are connected to it, or wait for its answer. */
  readonly instances: readonly string[];
  /** The newest place of the channel that is watched; empty where it has no record. */
  readonly place: string;
}

/** Who has not answered by then does not answer. */
const ANSWER_MS = 1_000;

/** Asks a node; `undefined` where it does not answer in time. The channel is one that somebody always appends to. */
export async function askNode(url: string, channel: string): Promise<NodeReport | undefined> {
  const signal = AbortSignal.timeout(ANSWER_MS);
  const ask = async (path: string): Promise<{ readonly status: number; readonly body: unknown }> => {
    const response = await fetch(url + path, { signal });
    return { status: response.status, body: await response.json() };
  };
  try {
    const [ready, faults, page] = await Promise.all([
      ask('/readyz'),
      ask('/v1/faults'),
      ask(`/v1/records?channel=${encodeURIComponent(channel)}&limit=1`),
    ]);
    const { log } = ready.body as { readonly log: string };
    const { sessions, instances } = faults.body as Pick<NodeReport, 'sessions' | 'instances'>;
    const { records = [] } = page.body as { readonly records?: readonly { readonly cursor: string }[] };
    return {
      isReady: ready.status === 200,
      isLogUp: log === 'up',
      sessions,
      instances,
      place: records[0]?.cursor ?? '',
    };
  } catch {
    return undefined;
  }
}

/** Puts a fault into the way of a client object's connections on a node; one that does not answer has none to speak of. */
export async function putFault(url: string, instance: string, fault: string): Promise<void> {
  const to = `${url}/v1/faults?instance=${encodeURIComponent(instance)}`;
  await fetch(to, { method: 'POST', body: fault, signal: AbortSignal.timeout(ANSWER_MS) }).catch(() => {});
}
