import assert from 'node:assert/strict';
import { globSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { packageImports, serverRooms, serverRoomsPackages, type Permission } from '../law/rooms.ts';
import { tableUnder } from './markdown.ts';

const root = join(import.meta.dirname, '../..');
const page = readFileSync(join(root, 'ARCHITECTURE.md'), 'utf8');

function rows(table: Readonly<Record<string, Permission>>): string[][] {
  return Object.entries(table).map(([name, { values, types }]) => [`\`${name}\``, values.join(', '), types.join(', ')]);
}

const folders = (path: string): string[] =>
  readdirSync(join(root, path), { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !['node_modules', 'dist', 'tideway-data'].includes(entry.name))
    .map(({ name }) => name)
    .filter((name) => !name.startsWith('.'));

test('who imports whom is what the law allows', () => {
  assert.deepEqual(tableUnder(page, '### Rooms of the server'), rows(serverRooms));
  assert.deepEqual(tableUnder(page, '### Packages'), rows(packageImports));
  for (const [room, packages] of Object.entries(serverRoomsPackages)) {
    assert.ok(page.includes(`\`${room}\` takes ${packages.join(', ')}`), `${room}: ${packages.join(', ')}`);
  }
});

test('every folder of the repository and every room of the server is in the layout, and no other', () => {
  const named = [...page.matchAll(/^\| `([\w./]+)` \|/gm)].map(([, name = '']) => name);
  const expected = [
    ...folders('packages').map((name) => `packages/${name}`),
    ...folders('.').filter((name) => name !== 'packages'),
    ...folders('packages/server/src'),
  ];
  for (const name of expected) assert.ok(named.includes(name), `ARCHITECTURE.md has no line for ${name}`);
  const table = tableUnder(page, '## Where things are').map(([name = '']) => name.replaceAll('`', ''));
  assert.deepEqual(
    table.filter((name) => !expected.includes(name)),
    [],
  );
});

test('every dependency of every package.json has its reason, and no reason is left behind', () => {
  const manifests = [
    'package.json',
    ...globSync('{packages,examples}/*/package.json', { cwd: root }),
    'bench/package.json',
  ];
  const names = new Set<string>();
  const own = new Set<string>();
  for (const manifest of manifests) {
    const fields = JSON.parse(readFileSync(join(root, manifest), 'utf8')) as Readonly<Record<string, object>> & {
      readonly name: string;
    };
    own.add(fields.name);
    for (const kind of ['dependencies', 'devDependencies', 'peerDependencies', 'optionalDependencies']) {
      for (const name of Object.keys(fields[kind] ?? {})) names.add(name);
    }
  }
  const headings = [
    '### What is published needs',
    '### Clients of brokers',
    '### The pages of the demo',
    '### The repository',
  ];
  const lines = headings.flatMap((heading) => tableUnder(page, heading));
  const reasoned = lines.flatMap(([name = '']) => [...name.matchAll(/`([^`]+)`/g)].map(([, one = '']) => one));
  for (const [name, , reason = ''] of lines) assert.ok(reason.length > 10, `${name}: its reason`);
  assert.deepEqual(reasoned.toSorted(), [...names].filter((name) => !own.has(name)).toSorted());
});

test('every failure has a test, and the way of a record names rooms and files that are there', () => {
  const headings = ['### The log', '### The view', '### Everything else'];
  for (const [what = '', does = '', proof = ''] of headings.flatMap((heading) => tableUnder(page, heading))) {
    assert.notEqual(does, '', what);
    assert.match(proof, /\]\(packages\/[\w./-]+\.test\.ts\)/, what);
  }
  const way = page.slice(page.indexOf('## The way of a record'), page.indexOf('## Words'));
  assert.match(way, /socket → transport \(bytes\) → codec \(frame\) → session .* → append → log\n/);
  assert.match(way, /log .* → fold \(visible\) → view \(stored frame\) → ring → outboxes → one write .* → socket\n/);
  for (const [, file = ''] of way.matchAll(/`((?:[\w-]+\/)*[\w-]+\.ts)`/g)) {
    const found = globSync(`packages/server/src/{,transport/}${file}`, { cwd: root });
    assert.equal(found.length, 1, file);
  }
});
