/**
 * The end of a run, when nothing is made to fail any more: writers bring every append to an outcome, readers come to the
 * end of every channel, and who does not is a failure.
 */
import type { ServerProcess } from '../raw/server-process.ts';
import { rest, type Stage, type TortureClient } from './stage.ts';

/** How long either may take. */
const PEACE_MS = 180_000;
const LOOK_MS = 50;

/** Lets writers finish; gives the names of all clients, none of which is known to be stuck in reading yet. */
export async function settleWriters(stage: Stage, clients: readonly TortureClient[]): Promise<Set<string>> {
  for (const client of clients) client.quiet();
  await untilPeace(() => clients.every(({ pending }) => pending === 0));
  for (const { name, pending } of clients) {
    if (pending > 0) stage.fail(`${name} is stuck: ${pending} appends have no outcome`);
  }
  return new Set(clients.map(({ name }) => name));
}

/** Waits until every reader of a channel is at its newest record, and takes those that are not from the settled ones. */
export async function settleReaders(
  stage: Stage,
  clients: readonly TortureClient[],
  { channel, head, settled }: { readonly channel: string; readonly head: string; readonly settled: Set<string> },
): Promise<void> {
  const behind = (): readonly TortureClient[] =>
    clients.filter((client) => client.reads.includes(channel) && (client.place(channel) ?? '') < head);
  await untilPeace(() => behind().length === 0);
  for (const client of behind()) {
    settled.delete(client.name);
    const place = client.place(channel) ?? 'nothing';
    stage.fail(`${client.name} is stuck at ${place} in ${channel}, whose newest record is ${head}`);
  }
}

/** Resolves when it holds, or when the time is over. */
export async function untilPeace(holds: () => boolean | Promise<boolean>): Promise<void> {
  const endMs = performance.now() + PEACE_MS;
  while (!(await holds()) && performance.now() < endMs) await rest(LOOK_MS);
}

/** The newest record of a channel, as a server has it. */
export async function headOf(server: ServerProcess, channel: string): Promise<string | undefined> {
  const url = new URL('/v1/records', server.url);
  url.searchParams.set('channel', channel);
  url.searchParams.set('limit', '1');
  const page = (await (await fetch(url)).json()) as { readonly records?: readonly { readonly cursor: string }[] };
  return page.records?.at(-1)?.cursor;
}
