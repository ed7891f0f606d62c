/** What every view does, whatever its store: run once for each store. */
import { describe } from 'node:test';
import { followCases } from './view-suite/follow-cases.ts';
import { readCases } from './view-suite/read-cases.ts';
import { restartCases } from './view-suite/restart-cases.ts';
import { trimCases } from './view-suite/trim-cases.ts';
import { createWithRig, type StorePlace } from './view-suite/view-case.ts';

/** @param makePlace makes a place for a store, a fresh one at each call */
export function viewSuite(storeName: string, makePlace: () => StorePlace): void {
  const withRig = createWithRig(makePlace);
  describe(`view over ${storeName}`, () => {
    readCases(withRig);
    followCases(withRig);
    restartCases(withRig);
    trimCases(withRig);
  });
}
