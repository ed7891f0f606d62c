import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { commands } from '../src/cli/commands.ts';
import { CLI_PAGE, cliPage } from './cli-page.ts';

const root = join(import.meta.dirname, '../../..');

test('the page of the command line says what the tables of the commands say', async () => {
  const page = await cliPage();
  assert.equal(
    readFileSync(join(root, CLI_PAGE), 'utf8'),
    page,
    `${CLI_PAGE} is out of date; run node --conditions=tideway-source packages/server/test/cli-page.ts`,
  );
  for (const { name } of commands) assert.ok(page.includes(`## tideway ${name}\n`), name);
});

test('no flag takes a secret', () => {
  for (const file of globSync('packages/server/src/cli/*.ts', { cwd: root, exclude: ['**/*.test.ts'] })) {
    const flags = readFileSync(join(root, file), 'utf8').match(/^ {4}'?[\w-]+'?: \{ kind: 'text'/gm) ?? [];
    for (const flag of flags) assert.doesNotMatch(flag, /token|secret|password|^ {4}'?api-?key/i, `${file}: ${flag}`);
  }
});
