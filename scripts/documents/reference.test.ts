import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { createServer, type ServerOptions } from 'tideway';
import { clientPage, clientPagePath, exportedNames, sections } from './client-page.ts';
import { codeBlocks, tableUnder } from './markdown.ts';

const root = join(import.meta.dirname, '../..');
const run = promisify(execFile);
const http = readFileSync(join(root, 'docs/reference/http.md'), 'utf8');

async function start(t: { after(end: () => Promise<void>): void }): Promise<string> {
  const calls: ServerOptions['calls'] = {
    'cart.total': {
      handle: (argument) => ({ total: (argument as { prices: number[] }).prices.reduce((sum, price) => sum + price) }),
    },
  };
  const server = await createServer({ log: 'memory:', development: true, faults: true, calls, logger: () => {} });
  t.after(() => server.close({ drainMs: 0 }));
  return (await server.listen({ port: 0 })).url;
}

test('the client’s page says what its sources say, and has a place for every export', () => {
  assert.equal(
    readFileSync(join(root, clientPagePath), 'utf8'),
    clientPage(),
    `${clientPagePath} is out of date; run node scripts/documents/client-page.ts`,
  );
  assert.deepEqual(sections.flatMap(({ names }) => names).toSorted(), exportedNames().toSorted());
});

test('the page of services names every option, every member of a record and of a consumer, and no other', () => {
  const page = readFileSync(join(root, 'docs/reference/service.md'), 'utf8');
  const source = (file: string): string => readFileSync(join(root, 'packages/server/src/service', file), 'utf8');
  const members = (file: string, name: string): string[] => {
    const [, body = ''] = new RegExp(`export interface ${name} \\{\\n([^]*?)\\n\\}`).exec(source(file)) ?? [];
    return [...body.matchAll(/^ {2}(?:readonly )?(\w+)[?:(]/gm)].map(([, member = '']) => member).toSorted();
  };
  const named = (heading: string): string[] =>
    tableUnder(page, heading)
      .map(([cell = '']) => cell.replaceAll('`', ''))
      .toSorted();
  const shown = [
    ['## Options', 'options.ts', 'ConsumeOptions'],
    ['## Records', 'options.ts', 'ServiceRecord'],
    ['## Consumers', 'consumer.ts', 'Consumer'],
  ] as const;
  for (const [heading, file, name] of shown) {
    assert.ok(named(heading).length > 4, heading);
    assert.deepEqual(named(heading), members(file, name), heading);
  }
});

test('the HTTP page names every call of the server, and no other', async (t) => {
  const url = await start(t);
  const methods = new Map<string, string[]>();
  for (const [call = ''] of tableUnder(http, '# HTTP')) {
    const [, method = '', path = ''] = /^`(\w+) (\S+)`$/.exec(call) ?? [];
    methods.set(path, [...(methods.get(path) ?? []), method]);
  }
  const source = readFileSync(join(root, 'packages/server/src/transport/http-api.ts'), 'utf8');
  const paths = new Set([...source.matchAll(/'(\/(?:v1\/\w+|healthz|readyz|metrics))'/g)].map(([, path = '']) => path));
  assert.deepEqual([...methods.keys()].toSorted(), [...paths].toSorted());
  for (const [path, named] of methods) {
    const answer = await fetch(url + path, { method: 'PATCH' });
    assert.equal(answer.status, 405, path);
    assert.deepEqual(answer.headers.get('allow')?.split(', ').toSorted(), named.toSorted(), path);
  }
});

/** The paths of all members, of the first item where there is a list: what an answer is made of. */
function shape(value: unknown, path = ''): string[] {
  if (Array.isArray(value)) return value.length === 0 ? [path] : shape(value[0], `${path}[]`);
  if (typeof value !== 'object' || value === null) return [path];
  return Object.entries(value).flatMap(([name, member]) => shape(member, `${path}.${name}`));
}

test('every command of the HTTP page does what is shown under it', async (t) => {
  const URL = await start(t);
  const blocks = codeBlocks(http);
  let commands = 0;
  for (const [n, { language, code }] of blocks.entries()) {
    if (language !== 'sh') continue;
    commands++;
    const { stdout } = await run('sh', ['-c', code], { env: { ...process.env, URL } });
    const shown = blocks[n + 1];
    assert.ok(shown !== undefined && shown.language !== 'sh', `nothing is shown under ${code}`);
    if (shown.language === 'json') {
      const said = shape(JSON.parse(stdout));
      for (const path of shape(JSON.parse(shown.code)))
        assert.ok(said.includes(path), `${code}: no ${path} in ${stdout}`);
      assert.equal(stdout.includes('"error"'), shown.code.includes('"error"'), stdout);
    } else {
      const lines = (text: string): string[] => text.split('\n').map((line) => line.replace(/(?<=^id: |\[).*/, ''));
      assert.deepEqual(lines(stdout).slice(0, 3), lines(shown.code).slice(0, 3));
    }
  }
  assert.ok(commands >= 14, String(commands));
});
