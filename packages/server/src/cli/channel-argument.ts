/** What may stand where a channel or a place in one is asked for. */
import { isChannelName, limits, parseCursor } from '@tideway/protocol';
import { usageError } from './exit-codes.ts';

export function channelArgument(text: string): string {
  if (isChannelName(text)) return text;
  throw usageError(
    `"${text}" is no channel name; namespace:rest is, such as chat:42, with A–Z a–z 0–9 _ . - ~ / @ = + , in the rest`,
  );
}

/** `now`, `oldest`, `last:N` or a cursor. */
export function placeArgument(flag: string, text: string): string {
  const last = /^last:(0|[1-9]\d{0,5})$/.exec(text);
  if (text === 'now' || text === 'oldest' || parseCursor(text) !== undefined) return text;
  if (last !== null && Number(last[1]) <= limits.pageRecords) return text;
  throw usageError(
    `${flag}: "${text}" is no place; now, oldest, last:N with N up to ${limits.pageRecords}, or a cursor is`,
  );
}
