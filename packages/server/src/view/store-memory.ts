/**
 * The view's store in memory, for namespaces that say `durable: false`. Keys are kept apart by their first word
 * (a channel's records, all heads), so that lists stay short; nearly every new key is the newest of its list.
 */
import type { Store, StoreKey, StoreOp, StoreRange, StoreScan } from './store.ts';

interface List {
  /** In byte order; `values` runs beside it. */
  readonly keys: string[];
  readonly values: Buffer[];
}

export class MemoryStore implements Store {
  #lists = new Map<string, List>();

  open(): Promise<void> {
    return Promise.resolve();
  }

  getSync(key: StoreKey): Buffer | undefined {
    const list = this.#lists.get(wordOf(key));
    if (list === undefined) return undefined;
    const at = firstNotBelow(list.keys, key);
    return list.keys[at] === key ? list.values[at] : undefined;
  }

  scan(range: StoreRange): Promise<StoreScan> {
    const from = range.gte ?? range.gt ?? '';
    const list = this.#lists.get(wordOf(from));
    if (list === undefined) return Promise.resolve({ entries: [], end: true });
    let start = firstNotBelow(list.keys, from);
    if (range.gte === undefined && list.keys[start] === from) start++;
    const end = firstNotBelow(list.keys, range.lt);
    const entries = [];
    let bytes = 0;
    const count = Math.max(0, end - start);
    for (let i = 0; i < count && i < range.limit && bytes <= range.bytes; i++) {
      const at = range.reverse === true ? end - 1 - i : start + i;
      const value = list.values[at] as Buffer;
      entries.push({ key: list.keys[at] as string, value });
      bytes += value.length;
    }
    return Promise.resolve({ entries, end: entries.length === count });
  }

  write(ops: readonly StoreOp[]): Promise<void> {
    for (const op of ops) {
      const word = wordOf(op.key);
      let list = this.#lists.get(word);
      if (list === undefined) {
        if (op.type === 'del') continue;
        list = { keys: [], values: [] };
        this.#lists.set(word, list);
      }
      const at = firstNotBelow(list.keys, op.key);
      const there = list.keys[at] === op.key;
      if (op.type === 'put') {
        if (there) list.values[at] = op.value;
        else {
          list.keys.splice(at, 0, op.key);
          list.values.splice(at, 0, op.value);
        }
      } else if (there) {
        list.keys.splice(at, 1);
        list.values.splice(at, 1);
        if (list.keys.length === 0) this.#lists.delete(word);
      }
    }
    return Promise.resolve();
  }

  hasRoom(): Promise<boolean> {
    return Promise.resolve(true);
  }

  setAside(): Promise<string> {
    this.#lists = new Map();
    return Promise.resolve('forgotten');
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  async remove(): Promise<void> {
    await this.setAside();
  }
}

/** Up to the first space; a key without one belongs to its first letter's list. */
function wordOf(key: string): string {
  const space = key.indexOf(' ');
  return space < 0 ? (key[0] ?? '') : key.slice(0, space);
}

function firstNotBelow(keys: readonly string[], key: string): number {
  const last = keys.length - 1;
  if (last < 0 || (keys[last] as string) < key) return keys.length;
  let low = 0;
  let high = last;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((keys[middle] as string) < key) low = middle + 1;
    else high = middle;
  }
  return low;
}
