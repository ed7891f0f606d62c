import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { IdTable, NOT_FOUND } from './id-table.ts';

/** The table written a second time, with a map. */
class SlowTable {
  readonly #window: number;
  readonly #entries = new Map<string, { newest: number; first: number; tag: number; mark: number }>();

  constructor(window: number) {
    this.#window = window;
  }
  find(hash: string, at: number): { newest: number; first: number; tag: number; mark: number } | undefined {
    const entry = this.#entries.get(hash);
    return entry !== undefined && at - entry.newest <= this.#window ? entry : undefined;
  }
  put(hash: string, at: number, tag: number, mark: number): void {
    this.#entries.set(hash, { newest: at, first: at, tag, mark });
  }
}

/** Few hashes, many of them alike in the bits that choose a slot. */
const hash = fc.record({
  low: fc.oneof(
    fc.constantFrom(0, 1, 0x00400001, 0x80000001, 0xffffffff),
    fc.integer({ min: 0, max: 30 }).map((i) => (i * 0x01000010) >>> 0),
  ),
  high: fc.constantFrom(0, 1, 0xfc000000, 0xffffffff),
});

const steps = fc.array(fc.record({ hash, skip: fc.integer({ min: 1, max: 5 }) }), { maxLength: 400 });

function check(table: IdTable, slow: SlowTable, low: number, high: number, at: number): void {
  const entry = table.find(low, high, at);
  const expected = slow.find(`${low} ${high}`, at);
  if (expected === undefined) assert.equal(entry, NOT_FOUND);
  else {
    assert.notEqual(entry, NOT_FOUND);
    const { newest, first, tag, mark } = expected;
    assert.deepEqual(
      { newest: table.newest(entry, at), first: table.first(entry), tag: table.tag(entry), mark: table.mark(entry) },
      { newest, first, tag, mark },
    );
  }
}

test('what was put within the window is found with its answer, what is older is not, also after a restart', () => {
  fc.assert(
    fc.property(steps, fc.integer({ min: 1, max: 60 }), fc.nat(400), (list, window, cut) => {
      let table = new IdTable(window);
      const slow = new SlowTable(window);
      const journals: Uint32Array[] = [];
      let at = 2 ** 32 - 200;
      list.forEach(({ hash: { low, high }, skip }, i) => {
        if (i % 37 === 36) journals.push(table.takeJournal());
        if (i === cut) {
          journals.push(table.takeJournal());
          table = new IdTable(window);
          table.load(journals, at);
        }
        at += skip;
        table.advance(at);
        check(table, slow, low, high, at);
        const known = slow.find(`${low} ${high}`, at);
        if (known !== undefined && i % 3 > 0) {
          table.touch(table.find(low, high, at), at);
          known.newest = at;
        } else {
          table.put(low, high, at, i, i % 8);
          slow.put(`${low} ${high}`, at, i, i % 8);
        }
      });
      for (const {
        hash: { low, high },
      } of list)
        check(table, slow, low, high, at);
    }),
    { numRuns: 500 },
  );
});

test('a table holds what the window holds, and grows and shrinks with it', () => {
  const window = 50_000;
  const table = new IdTable(window);
  const hashOf = (at: number): [number, number] => [Math.imul(at, 0x9e3779b1) >>> 0, Math.imul(at, 0x85ebca6b) >>> 0];
  for (let at = 1; at <= 150_000; at++) {
    table.advance(at);
    table.put(...hashOf(at), at, at & 0xffffff, 1);
  }
  assert.ok(table.size <= window + 2, `${table.size} entries`);
  for (let at = 100_000; at <= 150_000; at += 97) assert.equal(table.first(table.find(...hashOf(at), 150_000)), at);
  assert.equal(table.find(...hashOf(99_999), 150_000), NOT_FOUND);
  for (let at = 150_001; at <= 250_000; at++) table.advance(at);
  assert.equal(table.size, 0);
});

test('one entry that is seen again and again does not keep the others from leaving', () => {
  const table = new IdTable(100);
  for (let at = 1; at <= 5_000; at++) {
    table.advance(at);
    const ticker = table.find(7, 7, at);
    if (ticker === NOT_FOUND) table.put(7, 7, at, 0, 0);
    else table.touch(ticker, at);
    table.put(at, at * 7, at, 0, 0);
  }
  assert.ok(table.size <= 210, `${table.size} entries`);
  assert.equal(table.first(table.find(7, 7, 5_000)), 1);
});
