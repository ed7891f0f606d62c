/** What many checks do with records: append a row of them, read their cursors and texts, let the checker judge them. */
import assert from 'node:assert/strict';
import { hashData, type HistoryChecker } from '../checker.ts';
import type { Fields, Heard, Talk } from './talk.ts';
import type { Wire } from './wire.ts';

export const cursorOf = (frame: Heard | undefined): string => frame?.header['cursor'] as string;
export const textOf = (frame: Heard): string | undefined => frame.payload?.toString('utf8');

/** Appends `1`, `2`, … one after the other; gives their cursors. */
export async function appendMany(talk: Talk, channel: string, count: number): Promise<string[]> {
  const ids: number[] = [];
  for (let i = 1; i <= count; i++) ids.push(talk.request({ op: 'append', channel, rid: `r${i}` }, String(i)));
  return (await talk.answers(ids)).map((answer) => {
    assert.equal(answer.op, 'ok', answer.headerText);
    return cursorOf(answer);
  });
}

/** Gives a frame of a reader to the checker. */
export function tell(checker: HistoryChecker, reader: string, frame: Heard): void {
  const { header } = frame;
  const channel = header['channel'] as string;
  const cursor = header['cursor'] as string;
  switch (frame.op) {
    case 'record':
      checker.accept({
        kind: 'record',
        reader,
        channel,
        cursor,
        prev: header['prev'] as string,
        rid: header['rid'] as string | undefined,
        user: header['user'] as string | undefined,
        hash: hashData(frame.payload ?? ''),
      });
      return;
    case 'mark':
      checker.accept({ kind: 'mark', reader, channel, cursor, prev: header['prev'] as string });
      return;
    case 'gap':
      checker.accept({ kind: 'gap', reader, channel, cursor, reason: header['reason'] as 'trimmed' });
      return;
    default:
  }
}

export function tellSubscribed(checker: HistoryChecker, reader: string, ok: Fields, from?: string): void {
  checker.accept({
    kind: 'subscribed',
    reader,
    channel: ok['channel'] as string,
    cursor: ok['cursor'] as string,
    head: ok['head'] as string,
    from,
    resumed: ok['resumed'] as boolean | undefined,
    reason: ok['reason'] as 'trimmed' | undefined,
  });
}

/** A session that subscribes at once. */
export async function startOf(
  wire: Wire,
  channel: string,
  from: string,
): Promise<{ readonly ok: Fields; readonly talk: Talk }> {
  const talk = await wire.session();
  return { ok: await talk.subscribe(channel, from), talk };
}
