/**
 * Compares what two nodes hold of one channel, record by record. Where one kept more old records than the other, the
 * comparison begins where both have some; from there on every record must be the same.
 */
import { hashOf, type ProvenRecord } from './reading-proof.ts';

export type Comparison =
  | { readonly ok: true; readonly same: number }
  /** In `difference` HERE and THERE stand for the two. */
  | { readonly ok: false; readonly same: number; readonly difference: string };

export async function compareHistories(
  here: AsyncIterable<ProvenRecord>,
  there: AsyncIterable<ProvenRecord>,
): Promise<Comparison> {
  const left = here[Symbol.asyncIterator]();
  const right = there[Symbol.asyncIterator]();
  let a = await nextOf(left);
  let b = await nextOf(right);
  if (a === undefined && b === undefined) return { ok: true, same: 0 };
  while (a !== undefined && b !== undefined && a.cursor !== b.cursor) {
    if (a.cursor < b.cursor) a = await nextOf(left);
    else b = await nextOf(right);
  }
  if (a === undefined || b === undefined) {
    await drain(left);
    await drain(right);
    return { ok: false, same: 0, difference: 'HERE and THERE have not one record in common' };
  }
  let same = 0;
  let difference: string | undefined;
  for (
    ;
    difference === undefined && (a !== undefined || b !== undefined);
    a = await nextOf(left), b = await nextOf(right)
  ) {
    difference = differenceOf(a, b);
    if (difference === undefined) same++;
  }
  if (difference === undefined) return { ok: true, same };
  // Both are read to their end, so that each has its own verdict.
  await drain(left);
  await drain(right);
  return { ok: false, same, difference };
}

function differenceOf(a: ProvenRecord | undefined, b: ProvenRecord | undefined): string | undefined {
  if (a === undefined) return `THERE goes on with ${b?.cursor}, where HERE ends`;
  if (b === undefined) return `HERE goes on with ${a.cursor}, where THERE ends`;
  if (a.cursor !== b.cursor) return `HERE has the record ${a.cursor}, and THERE ${b.cursor}`;
  if (a.prev !== b.prev) return `${a.cursor} follows ${a.prev} at HERE, and ${b.prev} at THERE`;
  return hashOf(a.data) === hashOf(b.data) ? undefined : `the record ${a.cursor} has other data at HERE than at THERE`;
}

async function nextOf(records: AsyncIterator<ProvenRecord>): Promise<ProvenRecord | undefined> {
  const { done, value } = await records.next();
  return done === true ? undefined : value;
}

async function drain(records: AsyncIterator<ProvenRecord>): Promise<void> {
  while ((await nextOf(records)) !== undefined);
}
