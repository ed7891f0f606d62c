import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { settingKeys } from '../src/ops/config-schema.ts';
import { logEvents } from '../src/ops/logger-events.ts';
import { metricKeys, metricTable } from '../src/ops/metrics-table.ts';
import { configPage, logsPage, metricsPage, referencePages } from './reference-pages.ts';

const root = join(import.meta.dirname, '../../..');

test('the reference pages say what the tables of the server say', () => {
  for (const [path, text] of referencePages()) {
    assert.equal(
      readFileSync(join(root, path), 'utf8'),
      text,
      `${path} is out of date; run node --conditions=tideway-source packages/server/test/reference-pages.ts`,
    );
  }
});

test('each page names everything in its table', () => {
  for (const key of settingKeys) assert.ok(configPage().includes(`\`${key}\``), key);
  for (const key of metricKeys) assert.ok(metricsPage().includes(`| \`${metricTable[key].name}\` |`), key);
  for (const event of Object.keys(logEvents)) assert.ok(logsPage().includes(`| \`${event}\` |`), event);
});

test('every event of the log is logged somewhere, and every setting is read somewhere', () => {
  const files = globSync('packages/server/src/**/*.ts', { cwd: root, exclude: ['**/*.test.ts'] });
  const texts = files.map((file) => [file, readFileSync(join(root, file), 'utf8')] as const);
  const usedOutside = (word: string, home: RegExp): boolean =>
    texts.some(([file, text]) => !home.test(file) && text.includes(word));
  const silent = Object.keys(logEvents).filter((event) => !usedOutside(`'${event}'`, /logger-events\.ts$/));
  assert.deepEqual(silent, [], 'events that nobody logs');
  const placeOf = (key: string): string =>
    key.startsWith('limits.') ? `config.${key}` : (key.split('.').at(-1) as string);
  // Read where the settings of each namespace are made: what one does not say of itself.
  const ofNamespaces: readonly string[] = ['limits.recordBytes'];
  const others = settingKeys.filter((key) => !ofNamespaces.includes(key));
  const unread = others.filter((key) => !usedOutside(placeOf(key), /ops\/config[\w-]*\.ts$/));
  assert.deepEqual(unread, [], 'settings that nobody reads');
});
