import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { type Metric, metricKeys, metricTable } from './metrics-table.ts';
import { createMetrics, Histogram, LABEL_SETS_MAX } from './metrics.ts';
import { parseExposition } from './testing/exposition.ts';

describe('the table', () => {
  test('names follow Prometheus: prefix, base units, _total for counters alone', () => {
    const names = new Set<string>();
    for (const key of metricKeys) {
      const { name, type, labels, help }: Metric = metricTable[key];
      assert.match(name, /^(tideway|process|nodejs)(_[a-z]+)+$/);
      assert.equal(name.endsWith('_total'), type === 'counter', name);
      if (type === 'histogram') assert.match(name, /_(seconds|records|bytes)$/);
      assert.doesNotMatch(name, /_(ms|milliseconds|kib|kb|mb)(_|$)/);
      assert.match(help, /^[A-Z0-9].*\.$/, name);
      for (const label of labels) assert.ok(!['channel', 'user', 'session', 'le'].includes(label));
      assert.ok(!names.has(name));
      names.add(name);
    }
  });

  test('buckets grow', () => {
    for (const key of metricKeys) {
      const metric: Metric = metricTable[key];
      if (metric.type === 'histogram')
        assert.deepEqual(
          metric.buckets,
          [...metric.buckets].sort((a, b) => a - b),
        );
    }
  });
});

describe('the text', () => {
  test('is read by a strict parser: help, type, samples of each family together', () => {
    const metrics = createMetrics(['chat', 'ticker']);
    metrics.sessions.of('websocket').value = 7;
    metrics.appends.of('chat', 'stored').value += 3;
    metrics.appendSeconds.of('chat').observe(0.003);
    metrics.appendSeconds.of('chat').observe(99);
    const families = parseExposition(metrics.render());
    assert.deepEqual(
      [...families.keys()],
      metricKeys.map((key) => metricTable[key].name),
    );
    assert.deepEqual(families.get('tideway_sessions')?.samples, [
      { name: 'tideway_sessions', labels: { transport: 'websocket' }, value: 7 },
    ]);
    const seconds = families.get('tideway_append_seconds')?.samples ?? [];
    const bucket = (le: string) => seconds.find(({ labels }) => labels['le'] === le)?.value;
    assert.deepEqual([bucket('0.0025'), bucket('0.005'), bucket('10'), bucket('+Inf')], [0, 1, 1, 2]);
    assert.equal(seconds.find(({ name }) => name.endsWith('_sum'))?.value, 99.003);
    assert.equal(seconds.find(({ name }) => name.endsWith('_count'))?.value, 2);
  });

  test('is read whatever labels and values are', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.double(), (code, value) => {
        fc.pre(code.isWellFormed());
        const metrics = createMetrics([]);
        metrics.errors.of(code).value = value;
        const [sample] = parseExposition(metrics.render()).get('tideway_errors_total')?.samples ?? [];
        assert.deepEqual(sample?.labels, { code });
        assert.ok(Object.is(sample?.value, value) || (value === 0 && sample?.value === 0), String(value));
      }),
    );
  });

  test('asks its collectors first', () => {
    const metrics = createMetrics([]);
    let scrapes = 0;
    metrics.onScrape(() => void (metrics.channels.of().value = ++scrapes));
    assert.match(metrics.render(), /^tideway_channels 1$/m);
    assert.match(metrics.render(), /^tideway_channels 2$/m);
  });
});

describe('labels', () => {
  test('a cell is the same for the same values', () => {
    const metrics = createMetrics(['chat']);
    assert.equal(metrics.appends.of('chat', 'stored'), metrics.appends.of('chat', 'stored'));
    assert.notEqual(metrics.appends.of('chat', 'stored'), metrics.appends.of('chat', 'duplicate'));
  });

  test('a namespace that is not in the configuration counts as _other: names from outside make no series', () => {
    const metrics = createMetrics(['chat']);
    for (let n = 0; n < 100; n++) metrics.appends.of(`invented-${n}`, 'stored').value++;
    assert.match(metrics.render(), /^tideway_appends_total\{namespace="_other",result="stored"\} 100$/m);
    assert.doesNotMatch(metrics.render(), /invented/);
  });

  test('are bounded: beyond the cap namespaces fall together, and it is counted', () => {
    const namespaces = Array.from({ length: 2_000 }, (_, n) => `n${n}`);
    const metrics = createMetrics(namespaces);
    for (const namespace of namespaces) metrics.appends.of(namespace, 'stored').value++;
    for (let n = 0; n < 2_000; n++) metrics.errors.of(`e${n}`).value++;
    const families = parseExposition(metrics.render());
    let sets = 0;
    let sum = 0;
    for (const { samples } of families.values()) sets += samples.length;
    for (const { value } of families.get('tideway_appends_total')?.samples ?? []) sum += value;
    assert.ok(sets <= LABEL_SETS_MAX + 50, String(sets));
    assert.equal(sum, 2_000, 'no append is lost from the sum');
    assert.ok((families.get('tideway_metrics_overflow_total')?.samples[0]?.value ?? 0) >= 1_000);
  });
});

test('a histogram puts every observation into exactly one bucket, the first that holds it', () => {
  fc.assert(
    fc.property(fc.array(fc.double({ noNaN: true, min: 0, max: 20 })), (values) => {
      const bounds = [0.001, 0.01, 0.1, 1, 10];
      const histogram = new Histogram(bounds);
      for (const value of values) histogram.observe(value);
      const expected = [...bounds, Infinity].map(
        (bound, at) => values.filter((value) => value <= bound && value > (bounds[at - 1] ?? -1)).length,
      );
      assert.deepEqual([...histogram.counts], expected);
      assert.equal(histogram.count, values.length);
    }),
  );
});
