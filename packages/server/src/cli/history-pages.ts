/** A channel's whole history by plain HTTP, page after page (HTTP-5), as the server sent it. */
import { setTimeout as delay } from 'node:timers/promises';
import { limits, TidewayError, type GapReason, type RecordLine } from '@tideway/protocol';
import type { ProvenRecord } from './reading-proof.ts';
import type { ServerAccess } from './server-access.ts';

export interface HistoryPart {
  readonly records: readonly ProvenRecord[];
  readonly gap: { readonly cursor: string; readonly reason: GapReason } | undefined;
}

interface PageBody {
  readonly records: readonly RecordLine[];
  readonly next: string;
  readonly end: boolean;
  readonly gap?: { readonly cursor: string; readonly reason: GapReason };
}

const TRIES_MAX = 5;

/** From a place (a cursor or `oldest`) up to the newest record. */
export async function* readPages(
  access: Pick<ServerAccess, 'request'>,
  channel: string,
  from: string,
  timeoutMs: number,
): AsyncIterable<HistoryPart> {
  for (let after = from; ;) {
    const query = new URLSearchParams({ channel, after, limit: String(limits.pageRecords) });
    const { records, next, end, gap } = await readPage(access, `/v1/records?${query}`, timeoutMs);
    yield { records: records.map(dataOf), gap };
    // A server that gives no way on would be asked for ever.
    if (end || next === after) return;
    after = next;
  }
}

async function readPage(access: Pick<ServerAccess, 'request'>, path: string, timeoutMs: number): Promise<PageBody> {
  for (let tries = 1; ; tries++) {
    try {
      const response = await access.request(path, { signal: AbortSignal.timeout(timeoutMs) });
      // The server's own answer; what is wrong in it is for the checker to find.
      return (await response.json()) as PageBody;
    } catch (error) {
      if (!(error instanceof TidewayError) || error.retryMs === undefined || tries === TRIES_MAX) throw error;
      await delay(error.retryMs);
    }
  }
}

function dataOf(line: RecordLine): ProvenRecord {
  const { encoding, data } = line;
  return encoding === 'base64' ? { ...line, data: new Uint8Array(Buffer.from(String(data), 'base64')) } : line;
}
