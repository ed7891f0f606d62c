import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LiveTail } from './live-tail.ts';
import { TailError, type TailRecord } from './log.ts';
import { positionNumber, positionOf } from './position.ts';

const record = { channel: 'a:b', kind: 'data', encoding: 'json', payload: Buffer.from('1') } as const;
const numbered = (n: number): TailRecord => ({ position: positionOf(n), tag: 'AAAA', record });
const range = (after: number, upTo: number): TailRecord[] =>
  Array.from({ length: upTo - after }, (_, n) => numbered(after + 1 + n));

/** A log that only counts, and a tail of it. */
class Counted {
  newest = 0;
  readonly seen: number[] = [];
  reads = 0;
  readBytes = 1_000;
  error: TailError | undefined;
  onBatch: (() => Promise<void> | undefined) | undefined;
  onRead: (() => void) | undefined;
  readonly tail: LiveTail;
  #look: (() => void) | undefined;

  constructor(newest: number, after: number) {
    this.newest = newest;
    this.tail = new LiveTail(
      after,
      {
        newest: () => this.newest,
        readAfter: async (from, upTo) => {
          this.reads++;
          this.onRead?.();
          return Promise.resolve(range(from, Math.min(upTo, from + this.readBytes)));
        },
      },
      {
        onBatch: (batch) => {
          for (const { position } of batch) this.seen.push(positionNumber(position));
          this.#look?.();
          return this.onBatch?.();
        },
        onError: (error) => (this.error = error),
      },
      () => undefined,
    );
  }

  write(count: number, bytes = count): void {
    const records = range(this.newest, this.newest + count);
    this.newest += count;
    this.tail.offer(records, bytes);
  }

  async upTo(number: number): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#look = () => void (this.seen.at(-1) === number && resolve());
      this.#look();
    });
    assert.deepEqual(
      this.seen,
      Array.from({ length: this.seen.length }, (_, n) => (this.seen[0] as number) + n),
    );
  }
}

test('a tail at the end is given what is written at once, and reads nothing', () => {
  const log = new Counted(50, 50);
  log.tail.start();
  log.write(3);
  log.write(2);
  assert.deepEqual(log.seen, [51, 52, 53, 54, 55]);
  assert.equal(log.reads, 0);
});

test('what is written while a tail reads is neither lost nor given twice', async () => {
  const log = new Counted(2_500, 0);
  log.onRead = () => log.write(7);
  log.tail.start();
  await log.upTo(2_521);
  assert.equal(log.reads, 3);
  log.write(1);
  await log.upTo(2_522);
});

test('a tail reaches the end although every read takes as long as a write of as much', async () => {
  const log = new Counted(100_000, 0);
  log.onRead = () => {
    if (log.newest < 400_000) log.write(900);
  };
  log.tail.start();
  await log.upTo(400_600);
});

test('the next page is read while one is used, and no further one', async () => {
  const log = new Counted(5_000, 0);
  let release: (() => void) | undefined;
  const given = new Promise<void>((resolve) => {
    log.onBatch = () => {
      resolve();
      return new Promise((used) => (release = used));
    };
  });
  log.tail.start();
  await given;
  await new Promise(setImmediate);
  assert.deepEqual([log.seen.length, log.reads], [1_000, 2]);
  log.onBatch = undefined;
  release?.();
  await log.upTo(5_000);
  assert.equal(log.reads, 5, 'every page was read once');
});

test('a page that cannot be read ends a tail when its turn has come', async () => {
  const log = new Counted(5_000, 0);
  log.onRead = () => {
    if (log.reads === 3) throw new TailError('damaged', 'a hole');
  };
  log.tail.start();
  await log.upTo(2_000);
  await new Promise(setImmediate);
  assert.equal(log.error?.reason, 'damaged');
  assert.equal(log.seen.length, 2_000);
});

test('a slow consumer is kept waiting in a bounded queue, then reads from the log again', async () => {
  const log = new Counted(0, 0);
  let release: (() => void) | undefined;
  log.onBatch = () => new Promise((resolve) => (release = resolve));
  log.tail.start();
  log.write(1);
  for (let n = 0; n < 10; n++) log.write(10);
  log.onBatch = undefined;
  release?.();
  await log.upTo(101);
  assert.equal(log.reads, 0, 'a short wait reads nothing');

  for (const [count, bytes] of [
    [20_000, 20_000],
    [10, 100_000_000],
  ] as const) {
    const reads: number = log.reads;
    log.onBatch = () => new Promise((resolve) => (release = resolve));
    log.write(1);
    log.write(count, bytes);
    log.write(5);
    log.onBatch = undefined;
    release?.();
    await log.upTo(log.newest);
    assert.ok(log.reads > reads, 'a long wait reads again');
  }
});

test('a read that fails ends the tail with its reason, once, and nothing more is given', async () => {
  const log = new Counted(10, 0);
  log.onRead = () => {
    throw new TailError('trimmed', 'gone', { oldest: positionOf(5) });
  };
  log.tail.start();
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(log.error?.reason, 'trimmed');
  assert.equal(log.error.oldest, positionOf(5));
  log.write(1);
  assert.deepEqual(log.seen, []);
});

test('stopped while it reads, a tail gives nothing of what it read', async () => {
  const log = new Counted(10, 0);
  log.onRead = () => void log.tail.stop();
  log.tail.start();
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(log.reads, 1);
  assert.deepEqual(log.seen, []);
});
