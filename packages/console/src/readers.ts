/**
 * The three readers of the proof: the SDK over WebSocket, the SDK over SSE, and plain HTTP reads that wait. Each tells
 * every record it is given, in the order it is given, and how it is doing.
 */
import type { ChannelRecord, Client } from '@tideway/client';

export const READERS = ['WebSocket', 'SSE', 'plain HTTP'] as const;
export type ReaderName = (typeof READERS)[number];

export type ReaderState = 'connecting' | 'live' | 'catching up' | 'stale' | 'reconnecting';

export interface ReaderEvents {
  onRecord(record: ChannelRecord): void;
  onGap(cursor: string, reason: string): void;
  onState(state: ReaderState): void;
}

/** Follows a channel by the SDK, from its beginning. */
export async function followBySdk(client: Client, channel: string, events: ReaderEvents): Promise<void> {
  client.onState((state) => {
    if (state === 'offline' || state === 'closed') events.onState('reconnecting');
    else events.onState(state);
  });
  const items = client.channel(channel).read({ from: 'oldest', onGap: 'continue' }).items();
  for await (const item of items) {
    if (item.type === 'record') events.onRecord(item.record);
    else if (item.type === 'gap') events.onGap(item.gap.cursor, item.gap.reason);
  }
}

interface Page {
  readonly records: readonly ChannelRecord[];
  readonly next: string;
  readonly gap?: { readonly cursor: string; readonly reason: string };
}

const WAIT_S = 20;
/** A read that has no answer by then has none. */
const DEAD_MS = 30_000;

/** Follows a channel by `fetch` alone: each read waits until there is something (PROTOCOL.md HTTP-5). */
export async function followByHttp(
  { server, instance }: { readonly server: string; readonly instance: string },
  channel: string,
  events: ReaderEvents,
): Promise<never> {
  const headers = { 'Tideway-Instance': instance };
  let after = 'oldest';
  for (;;) {
    try {
      const query = new URLSearchParams({ channel, after, limit: '1000', wait: String(WAIT_S) });
      const response = await fetch(`${server}/v1/records?${query}`, {
        headers,
        signal: AbortSignal.timeout(DEAD_MS),
      });
      if (!response.ok) throw new Error(`the server answered ${response.status}`);
      const page = (await response.json()) as Page;
      if (page.gap !== undefined) events.onGap(page.gap.cursor, page.gap.reason);
      for (const record of page.records) events.onRecord(record);
      after = page.next;
      events.onState('live');
    } catch {
      events.onState('reconnecting');
      await new Promise((resolve) => window.setTimeout(resolve, 200 + Math.random() * 300));
    }
  }
}
