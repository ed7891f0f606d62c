import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { test } from 'node:test';
import { anchors, linkTargets } from './markdown.ts';

const root = join(import.meta.dirname, '../..');
const pages = globSync('**/*.md', {
  cwd: root,
  exclude: (path) => /(^|[\\/])(node_modules|dist|tideway-data|out)$/.test(path),
});
const read = (page: string): string => readFileSync(join(root, page), 'utf8');

test('every link of every page leads to a file that is there, and to a heading it has', () => {
  const broken: string[] = [];
  for (const page of pages) {
    for (const target of linkTargets(read(page))) {
      if (/^[a-z]+:/.test(target)) continue;
      const [path = '', anchor] = target.split('#');
      const file = path === '' ? page : normalize(join(dirname(page), path));
      if (!existsSync(join(root, file))) broken.push(`${page}: ${target}`);
      else if (anchor !== undefined && !anchors(read(file)).has(anchor)) broken.push(`${page}: ${target} (heading)`);
    }
  }
  assert.deepEqual(broken, []);
});

test('every guide, reference page and decision can be found from the README', () => {
  const reached = new Set(['README.md']);
  for (const page of reached) {
    for (const target of linkTargets(read(page))) {
      const path = target.split('#')[0] as string;
      const file = normalize(join(dirname(page), path));
      if (path.endsWith('.md') && !/^[a-z]+:/.test(path) && existsSync(join(root, file))) reached.add(file);
    }
  }
  assert.deepEqual(
    pages.filter((page) => /^docs[\\/]/.test(page) && !reached.has(page)),
    [],
  );
});
