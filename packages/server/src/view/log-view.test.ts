import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LevelStore } from './store-level.ts';
import { MemoryStore } from './store-memory.ts';
import { viewSuite } from './testing/view-suite.ts';

viewSuite('the memory store', () => {
  const store = new MemoryStore();
  return { open: () => store, remove: () => Promise.resolve() };
});

viewSuite('LevelDB', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tideway-view-'));
  return { open: () => new LevelStore(folder), remove: () => rm(folder, { recursive: true, force: true }) };
});
