import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { codeStatuses } from '@tideway/protocol';
import { errorDocuments, errorsPage, protocolTable } from './docs-errors.ts';

const root = join(import.meta.dirname, '..');

test('PROTOCOL.md and docs/reference/errors.md say what the table of codes says (COD-1)', () => {
  for (const [path, text] of errorDocuments(root)) {
    assert.equal(
      readFileSync(join(root, path), 'utf8'),
      text,
      `${path} is out of date; run node --conditions=tideway-source scripts/docs-errors.ts`,
    );
  }
});

test('both documents name each code with its status', () => {
  for (const [code, status] of Object.entries(codeStatuses)) {
    assert.match(protocolTable(), new RegExp(`^\\| \`${code}\` \\| ${status} \\|`, 'm'));
    assert.match(errorsPage(), new RegExp(`^\\| \`${code}\` \\| ${status} \\|`, 'm'));
  }
});
