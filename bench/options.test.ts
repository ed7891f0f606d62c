import assert from 'node:assert/strict';
import { test } from 'node:test';
import { helpText, parseOptions, UsageError } from './options.ts';
import { scenarios } from './scenarios/scenarios.ts';

test('without a name all scenarios run, five pairs each', () => {
  const options = parseOptions([]);
  assert.deepEqual(options.scenarios, scenarios);
  assert.equal(options.pairs, 5);
});

test('a name stands for itself, its beginning for all that begin so', () => {
  assert.deepEqual(
    parseOptions(['append']).scenarios.map(({ name }) => name),
    ['append'],
  );
  const fanOut = parseOptions(['fan-out']).scenarios;
  assert.ok(fanOut.length > 1 && fanOut.every(({ name }) => name.startsWith('fan-out-')));
});

test('a quick run measures once unless told otherwise', () => {
  assert.equal(parseOptions(['--quick']).pairs, 1);
  assert.equal(parseOptions(['--quick', '--pairs', '2']).pairs, 2);
});

test('wrong usage says what is allowed', () => {
  assert.throws(() => parseOptions(['nosuch']), /no scenario "nosuch"; there are fan-out-1000/);
  assert.throws(() => parseOptions(['--pairs', '0']), /--pairs must be 1 or more, got 0/);
  assert.throws(() => parseOptions(['--bogus']), UsageError);
});

test('a run that is too short is not kept for the record', () => {
  assert.throws(() => parseOptions(['--record', '--quick']), /five pairs or more/);
  assert.throws(() => parseOptions(['--record', '--pairs', '4']), /five pairs or more/);
  assert.equal(parseOptions(['--record']).record, true);
});

test('the help names every scenario', () => {
  for (const { name } of scenarios) assert.ok(helpText().includes(name));
});
