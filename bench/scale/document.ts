/**
 * Writes the tables of docs/scale.md: what stands between `<!-- NAME -->` and `<!-- /NAME -->` comes from recorded
 * runs and the simulation. `node bench/scale/document.ts` does it; document.test.ts fails when the two disagree.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Figures } from '../figures.ts';
import { scaleTables } from './tables.ts';

export const documentPath = join(import.meta.dirname, '..', '..', 'docs', 'scale.md');

/** @throws an Error that names a table that has no place */
export function withTables(document: string, tables: ReadonlyMap<string, string>): string {
  let written = document;
  for (const [name, text] of tables) {
    const [opening, closing] = [`<!-- ${name} -->`, `<!-- /${name} -->`];
    const from = written.indexOf(opening);
    const to = written.indexOf(closing);
    if (from < 0 || to < from) throw new Error(`docs/scale.md has no ${opening} … ${closing}`);
    written = `${written.slice(0, from + opening.length)}\n\n${text}\n\n${written.slice(to)}`;
  }
  return written;
}

if (import.meta.main) {
  const document = readFileSync(documentPath, 'utf8');
  writeFileSync(documentPath, withTables(document, scaleTables(Figures.recorded())));
}
