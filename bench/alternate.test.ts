import assert from 'node:assert/strict';
import { test } from 'node:test';
import { alternate } from './alternate.ts';
import type { Settings } from './scenario.ts';

function settingsOf(pairs: number, lines: string[] = []): Settings {
  return { pairs, quick: true, progress: (line) => lines.push(line) };
}

test('contenders take turns, and each pair begins with another one', async () => {
  const order: string[] = [];
  const contender = (name: string) => ({
    name,
    async measure() {
      order.push(name);
      return { ms: order.length };
    },
  });
  const result = await alternate({ name: 'case', contenders: [contender('a'), contender('b')] }, settingsOf(3));
  assert.equal(order.join(''), 'abbaab');
  assert.deepEqual(
    result.contenders.map(({ metrics }) => metrics['ms']),
    [
      [1, 4, 5],
      [2, 3, 6],
    ],
  );
});

test('a contender that is missing is skipped with its reason, a failing one does not stop the others', async () => {
  const lines: string[] = [];
  let failures = 0;
  const result = await alternate(
    {
      name: 'case',
      contenders: [
        { name: 'absent', missing: 'no compiler', measure: () => assert.fail('it was measured') },
        {
          name: 'broken',
          async measure() {
            throw new Error(`failure ${++failures}`);
          },
        },
        { name: 'sound', measure: async () => ({ ms: 1 }) },
      ],
    },
    settingsOf(2, lines),
  );
  assert.deepEqual(result.contenders, [
    { name: 'absent', missing: 'no compiler', metrics: {} },
    { name: 'broken', failures: ['failure 1', 'failure 2'], metrics: {} },
    { name: 'sound', metrics: { ms: [1, 1] } },
  ]);
  assert.ok(lines.includes('case: absent is skipped: no compiler'));
});
