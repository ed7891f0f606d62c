/** Reads `/metrics` of a running server as a scraper would, and waits for what must move there. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { parseExposition } from '../src/ops/testing/exposition.ts';
import { DEADLINE } from './peer.ts';

export type Labels = Readonly<Record<string, string>>;

/** The sum of the samples of this name that have these labels; 0 where there is none. */
export type Scraped = (name: string, labels?: Labels) => number;

export async function scrape(url: string): Promise<Scraped> {
  const families = parseExposition(await (await fetch(`${url}/metrics`)).text());
  return (name, labels = {}) => {
    let sum = 0;
    for (const { samples } of families.values()) {
      for (const sample of samples) {
        if (sample.name !== name) continue;
        if (Object.entries(labels).every(([label, value]) => sample.labels[label] === value)) sum += sample.value;
      }
    }
    return sum;
  };
}

/** What moves, and by how much at least: a name, its labels as in PromQL (`name{label="value"}`), a number. */
export type Moves = Readonly<Record<string, number>>;

/** Does something, and waits until it shows. What is expected to move by 0 must not have moved at all by then. */
export async function moves(t: TestContext, url: string, expected: Moves, act: () => unknown): Promise<void> {
  const before = await scrape(url);
  await act();
  await t.waitFor(async () => {
    const now = await scrape(url);
    for (const [series, by] of Object.entries(expected)) {
      const [name, labels] = parseSeries(series);
      const moved = now(name, labels) - before(name, labels);
      const text = `${series} moved by ${moved}, not by ${by}`;
      if (by > 0) assert.ok(moved >= by, text);
      else assert.equal(moved, by, text);
    }
  }, DEADLINE);
}

function parseSeries(series: string): [name: string, labels: Labels] {
  const [, name = '', inside = ''] = /^(\w+)(?:\{(.*)\})?$/.exec(series) ?? assert.fail(series);
  const labels = [...inside.matchAll(/(\w+)="([^"]*)"/g)].map(([, label, value]) => [label, value] as const);
  return [name, Object.fromEntries(labels) as Labels];
}
