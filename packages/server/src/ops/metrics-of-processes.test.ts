import assert from 'node:assert/strict';
import { test } from 'node:test';
import { joinMetrics } from './metrics-of-processes.ts';

test('a family stands once, and each line says whose it is', () => {
  const text = (value: number): string =>
    `# HELP a What a is.\n# TYPE a gauge\na ${value}\n# HELP b_total What b is.\n# TYPE b_total counter\nb_total{code="x y"} ${value}\nb_total{code="}"} 1\n`;
  assert.equal(
    joinMetrics([
      { process: 'primary', text: text(1) },
      { process: 'worker-1', text: '' },
      { process: 'worker-2', text: text(2) },
    ]),
    [
      '# HELP a What a is.',
      '# TYPE a gauge',
      'a{process="primary"} 1',
      'a{process="worker-2"} 2',
      '# HELP b_total What b is.',
      '# TYPE b_total counter',
      'b_total{process="primary",code="x y"} 1',
      'b_total{process="primary",code="}"} 1',
      'b_total{process="worker-2",code="x y"} 2',
      'b_total{process="worker-2",code="}"} 1',
      '',
    ].join('\n'),
  );
});
