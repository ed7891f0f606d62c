/** One case of the suite: a view over a fresh store, which ends without trouble and leaves a store in which all is well. */
import assert from 'node:assert/strict';
import { checkView } from '../../check.ts';
import type { Store } from '../../store.ts';
import { Rig, type RigOptions } from '../view-rig.ts';

/** What a store under test is kept in. */
export interface StorePlace {
  /** The same store at each call. */
  open(): Store;
  remove(): Promise<void>;
}

/** Runs a case; where it opened the store again it gives back the rig that is open now. */
export type WithRig = (
  options: RigOptions,
  body: (rig: Rig, open: () => Store) => Promise<Rig | void>,
) => Promise<void>;

export function createWithRig(makePlace: () => StorePlace): WithRig {
  return async (options, body) => {
    const store = makePlace();
    const rig = await Rig.open(store.open(), options);
    let last = rig;
    try {
      last = (await body(rig, () => store.open())) ?? rig;
      assert.deepEqual(last.troubles, []);
    } finally {
      await last.view.close();
      await last.log.close();
      assert.deepEqual((await checkView(store.open())).problems, []);
      await store.remove();
    }
  };
}
