/**
 * Pages of a channel's history over `GET /v1/records` (HTTP-5), forwards and backwards.
 */
import type { GapReason, RecordLine } from '@tideway/protocol';
import type { Http } from './http.ts';
import { decodeLine } from './payload.ts';
import type { HistoryOptions, HistoryPage } from './record.ts';
import { recordOf } from './reader.ts';

interface PageBody {
  readonly records: readonly RecordLine[];
  readonly first: string;
  readonly next: string;
  readonly end: boolean;
  readonly gap?: { readonly reason: GapReason; readonly cursor: string };
}

export async function readHistory(http: Http, channel: string, options: HistoryOptions): Promise<HistoryPage> {
  const query = new URLSearchParams({ channel });
  for (const name of ['before', 'after', 'limit'] as const) {
    const value = options[name];
    if (value !== undefined) query.set(name, String(value));
  }
  const response = await http.request({ method: 'GET', path: `/v1/records?${query}` });
  // The server's own answer (HTTP-5): it was made for this request and is not checked again.
  const { gap, ...page } = (await response.json()) as PageBody;
  return {
    ...page,
    records: page.records.map((line) => recordOf(line, decodeLine(line))),
    ...(gap && { gap: { channel, ...gap } }),
  };
}
