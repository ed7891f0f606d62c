import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { encodePositionNumber } from '@tideway/protocol';
import { MemoryStore } from './store-memory.ts';
import { WindowParts } from './window-parts.ts';

/** A journal of entries that are told apart by their first word. */
function journal(first: number, count: number): Uint32Array {
  const words = new Uint32Array(count * 6);
  for (let i = 0; i < count; i++) words[i * 6] = first + i;
  return words;
}

async function load(store: MemoryStore, window: number): Promise<{ parts: WindowParts; entries: number[] }> {
  const parts = new WindowParts(window);
  const journals = await parts.load((range) => store.scan(range), 0);
  return { parts, entries: journals.flatMap((words) => [...words].filter((_, i) => i % 6 === 0)) };
}

test('what is read back is every entry of the window, oldest first, however it was joined and whenever it stopped', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ count: fc.integer({ min: 0, max: 30 }), times: fc.integer({ min: 1, max: 300 }) }), {
        maxLength: 8,
      }),
      fc.integer({ min: 1, max: 4_000 }),
      fc.nat(7),
      async (writes, window, restart) => {
        const store = new MemoryStore();
        let { parts } = await load(store, window);
        let at = 0;
        for (const [i, { count, times }] of writes.entries()) {
          if (i === restart) ({ parts } = await load(store, window));
          for (let time = 0; time < times; time++) {
            const words = journal(at + 1, count);
            at += Math.max(1, count);
            await store.write(parts.add(encodePositionNumber(at), 1_000 + at, words));
          }
        }
        const { entries } = await load(store, window);
        const all = writes.flatMap(({ count, times }) => Array.from({ length: times }, () => count));
        let position = 0;
        const expected = all.flatMap((count) => {
          const first = position + 1;
          position += Math.max(1, count);
          return Array.from({ length: count }, (_, i) => first + i);
        });
        const inWindow = expected.filter((entry) => at - entry <= window);
        assert.deepEqual(entries.slice(entries.length - inWindow.length), inWindow);
        assert.ok(entries.every((entry, i) => i === 0 || entry > (entries[i - 1] as number)));
      },
    ),
    { numRuns: 60 },
  );
});

test('a million ids are a few hundred values, and single ids do not stay single', async () => {
  const store = new MemoryStore();
  const { parts } = await load(store, 1_000_000);
  let at = 0;
  for (let i = 0; i < 2_000; i++) {
    at += 1;
    await store.write(parts.add(encodePositionNumber(at), at, journal(at, 1)));
  }
  for (let i = 0; i < 500; i++) {
    at += 1_000;
    await store.write(parts.add(encodePositionNumber(at), at, journal(at - 999, 1_000)));
  }
  const { entries } = await store.scan({ gt: 'w', lt: 'x', limit: 10_000, bytes: Number.POSITIVE_INFINITY });
  assert.ok(entries.length < 330, `${entries.length} values`);
});
