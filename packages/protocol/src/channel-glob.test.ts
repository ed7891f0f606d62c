import assert from 'node:assert/strict';
import { test } from 'node:test';
import { globMatches, isGlob } from './channel-glob.ts';

test('NAM-5 a glob is a channel, the beginning of some, or all of them', () => {
  for (const glob of ['*', 'order:*', 'order:eu/*', 'order:17', '$system:*', 'a:b']) assert.ok(isGlob(glob), glob);
  for (const text of [
    '',
    'order',
    'order*',
    '**',
    'order:*/x',
    'Order:*',
    'order:',
    'order:a b*',
    `order:${'x'.repeat(201)}`,
  ])
    assert.equal(isGlob(text), false, text);
});

test('NAM-5 a glob names channels, and other globs that name no more', () => {
  const table: readonly (readonly [glob: string, channel: string, matches: boolean])[] = [
    ['*', 'order:17', true],
    ['*', '$system:vitals', true],
    ['order:*', 'order', false],
    ['order:eu/*', 'order:eus', false],
    ['order:*', 'order:17', true],
    ['order:*', 'orders:17', false],
    ['order:1*', 'order:17', true],
    ['order:1*', 'order:2', false],
    ['order:17', 'order:17', true],
    ['order:17', 'order:170', false],
    ['order:*', 'order:eu/*', true],
    ['order:eu/*', 'order:*', false],
    ['order:17', 'order:17*', false],
  ];
  for (const [glob, channel, matches] of table) assert.equal(globMatches(glob, channel), matches, `${glob} ${channel}`);
});
