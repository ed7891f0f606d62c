/**
 * An outbox in IndexedDB, for pages: a reload loses nothing. Each page has a lane of its own in the database and holds
 * a Web Lock for it, so an entry has one owner among all tabs; when a page dies its lock falls free, and another page
 * takes its entries over, in their order.
 */
import type { OutboxEntry, OutboxStore } from '../outbox-store.ts';

const STORE = 'entries';

interface Row {
  readonly lane: string;
  readonly order: number;
  readonly entry: OutboxEntry;
}

/**
 * Keeps appends without answer in this origin's IndexedDB. Needs Web Locks, so a secure context: https or localhost.
 *
 * @example connect({ url: '/', outbox: indexedDbOutbox() })
 */
export function indexedDbOutbox(name = 'tideway-outbox'): OutboxStore {
  const orders = new Map<string, number>();
  const watched = new Set<string>();
  let lane = '';
  let next = 0;
  let ended = new AbortController();
  let database: IDBDatabase;
  let tabs: BroadcastChannel | undefined;

  const lockOf = (of: string) => `${name}/${of}`;

  /** Holds this page's lane until `close`, or until the page is gone. */
  function holdLane(): Promise<void> {
    return new Promise((resolve, reject) => {
      const hold = () =>
        new Promise<void>((release) => {
          ended.signal.addEventListener('abort', () => release());
          resolve();
        });
      navigator.locks.request(lockOf(lane), hold).catch(reject);
    });
  }

  /** Moves a dead page's entries into this page's lane, in one transaction. */
  async function takeOver(from: string): Promise<OutboxEntry[]> {
    const rows = database.transaction(STORE, 'readwrite').objectStore(STORE);
    const range = IDBKeyRange.bound([from], [from, []]);
    const found = await resultOf<Row[]>(rows.getAll(range));
    rows.delete(range);
    for (const { entry } of found) rows.put(rowOf(entry));
    await doneOf(rows.transaction);
    return found.map(({ entry }) => entry);
  }

  /** Waits for a page to die. */
  function watch(other: string, onFound: (entries: readonly OutboxEntry[]) => void): void {
    if (other === lane || watched.has(other)) return;
    watched.add(other);
    const onFree = async () => {
      const entries = await takeOver(other);
      watched.delete(other);
      if (entries.length > 0) onFound(entries);
    };
    navigator.locks.request(lockOf(other), { signal: ended.signal }, onFree).catch(() => {
      // This page ended first, or could not read: the entries stay for the next.
    });
  }

  function rowOf(entry: OutboxEntry): Row {
    const order = orders.get(entry.rid) ?? next++;
    orders.set(entry.rid, order);
    return { lane, order, entry };
  }

  return {
    async open(onFound) {
      // The types promise it; a page that is no secure context has none.
      if (!('locks' in navigator)) throw new Error('indexedDbOutbox needs Web Locks: https, or a page from localhost');
      database = await openDatabase(name);
      lane = crypto.randomUUID();
      ended = new AbortController();
      await holdLane();
      tabs = new BroadcastChannel(name);
      tabs.addEventListener('message', (event: MessageEvent<string>) => watch(event.data, onFound));
      tabs.postMessage(lane);
      const keys = await resultOf(database.transaction(STORE).objectStore(STORE).getAllKeys());
      const { held = [] } = await navigator.locks.query();
      const lanes = new Set([
        // Keys are pairs of lane and order.
        ...keys.map((key) => (key as [string, number])[0]),
        ...held.flatMap((lock) =>
          lock.name?.startsWith(lockOf('')) === true ? [lock.name.slice(name.length + 1)] : [],
        ),
      ]);
      const entries: OutboxEntry[] = [];
      for (const other of lanes) {
        if (other === lane) continue;
        await navigator.locks.request(lockOf(other), { ifAvailable: true }, async (lock) => {
          if (lock === null) watch(other, onFound);
          else entries.push(...(await takeOver(other)));
        });
      }
      return entries;
    },
    async put(entries) {
      const rows = database.transaction(STORE, 'readwrite').objectStore(STORE);
      for (const entry of entries) rows.put(rowOf(entry));
      await doneOf(rows.transaction);
    },
    async remove(rids) {
      const rows = database.transaction(STORE, 'readwrite').objectStore(STORE);
      for (const rid of rids) {
        const order = orders.get(rid);
        if (order !== undefined) rows.delete([lane, order]);
        orders.delete(rid);
      }
      await doneOf(rows.transaction);
    },
    close() {
      ended.abort();
      tabs?.close();
      database.close();
      orders.clear();
      watched.clear();
    },
  };
}

function openDatabase(name: string): Promise<IDBDatabase> {
  const request = indexedDB.open(name, 1);
  request.addEventListener('upgradeneeded', () => {
    request.result.createObjectStore(STORE, { keyPath: ['lane', 'order'] });
  });
  return resultOf(request);
}

function resultOf<Result>(request: IDBRequest<Result>): Promise<Result> {
  return new Promise((resolve, reject) => {
    request.addEventListener('success', () => resolve(request.result));
    request.addEventListener('error', () => reject(request.error ?? new Error('IndexedDB failed')));
  });
}

function doneOf(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = () => reject(transaction.error ?? new Error('the transaction was aborted'));
    transaction.addEventListener('complete', () => resolve());
    transaction.addEventListener('error', fail);
    transaction.addEventListener('abort', fail);
  });
}
