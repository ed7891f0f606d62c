/** How far the view's store says it has come, if it can be believed. */
import { APPLIED_KEY, decodeApplied, type Applied } from './store-keys.ts';
import type { StoreKeeper } from './store-keeper.ts';
import { StoreError } from './store.ts';
import { findMissingWrite } from './write-marks.ts';

/** What the store holds; `undefined` where it is empty. Rejects with a `StoreError` where it is not whole. */
export async function readApplied(keeper: StoreKeeper): Promise<Applied | undefined> {
  const value = keeper.getSync(APPLIED_KEY);
  if (value === undefined) return undefined;
  const applied = decodeApplied(value);
  const missing = await findMissingWrite(applied.serial, (range) => keeper.scan(range));
  if (missing !== undefined) throw missing;
  return applied;
}

/** The same for a log of this epoch; or why the store is of no use for it. */
export async function readAppliedOf(
  epoch: string,
  keeper: StoreKeeper,
): Promise<{ readonly found: Applied | undefined; readonly useless?: string }> {
  try {
    const found = await readApplied(keeper);
    if (found === undefined || found.epoch === epoch) return { found };
    return { found: undefined, useless: `the view is of epoch ${found.epoch}, the log's is ${epoch}` };
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    return { found: undefined, useless: error.message };
  }
}
