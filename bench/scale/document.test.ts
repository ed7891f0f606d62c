import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Figures } from '../figures.ts';
import { documentPath, withTables } from './document.ts';
import { scaleTables } from './tables.ts';

test('the tables of docs/scale.md are those of the newest recorded runs and of the simulation', () => {
  const document = readFileSync(documentPath, 'utf8');
  const written = withTables(document, scaleTables(Figures.recorded()));
  assert.equal(document, written, 'node bench/scale/document.ts writes them');
});

test('only what stands between the markers changes, and a table without a place is an error', () => {
  const document = 'before\n<!-- one -->\nold\n<!-- /one -->\nafter\n';
  const written = withTables(document, new Map([['one', 'new']]));
  assert.equal(written, 'before\n<!-- one -->\n\nnew\n\n<!-- /one -->\nafter\n');
  assert.throws(() => withTables(document, new Map([['two', 'new']])), /no <!-- two -->/);
});
