/** Everything a view has put into a store, for tests that copy it, count it or put it back. */
import type { Store } from '../store.ts';

export interface Content {
  readonly key: string;
  readonly value: Buffer;
}

export async function contentOf(store: Store): Promise<Content[]> {
  const all: Content[] = [];
  for (const [gt, lt] of [
    ['m', 'n'],
    ['f', 'g'],
    ['s', 't'],
    ['w', 'x'],
  ] as const) {
    all.push(...(await store.scan({ gt, lt, limit: 1_000_000, bytes: Number.POSITIVE_INFINITY })).entries);
  }
  for (const { key } of all.filter((entry) => entry.key.startsWith('m'))) {
    const channel = key.slice(1);
    const range = { gt: `r${channel} `, lt: `r${channel}!`, limit: 1_000_000, bytes: Number.POSITIVE_INFINITY };
    all.push(...(await store.scan(range)).entries);
  }
  const applied = store.getSync('a');
  return applied === undefined ? all : [...all, { key: 'a', value: applied }];
}

export async function restore(store: Store, content: readonly Content[]): Promise<void> {
  await store.setAside();
  await store.write(content.map(({ key, value }) => ({ type: 'put', key, value })));
}
