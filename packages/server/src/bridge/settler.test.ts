import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { TidewayError } from '@tideway/protocol';
import { nodeEnv, type Env } from '../env.ts';
import type { Message } from './message.ts';
import { type Result, Settler } from './settler.ts';
import { ChannelTemplate } from './template.ts';
import { Trouble } from './trouble.ts';

interface Sent {
  readonly channel: string;
  readonly rid: string;
  readonly data: unknown;
}

type Answer = (items: readonly Sent[]) => readonly Result[];

const stored: Answer = (items) => items.map(({ rid }) => ({ cursor: rid }));
const error = (code: 'not_durable' | 'invalid' | 'forbidden' | 'too_large' | 'unauthenticated'): Result => {
  return { code, message: `it is ${code}`, ...(code === 'not_durable' && { retryMs: 40 }) };
};

/** A node that answers as it is told, one answer a request, and stores from then on. */
class Room {
  readonly requests: (readonly Sent[])[] = [];
  readonly said: (string | undefined)[] = [];
  readonly waits: number[] = [];
  readonly dead: string[] = [];
  readonly settler: Settler;
  readonly #abort = new AbortController();

  constructor(answers: readonly Answer[], { isAbortedByWaiting = false } = {}) {
    const left = [...answers];
    // Time passes at once.
    const env: Env = {
      ...nodeEnv,
      setTimer: (ms, callback) => {
        this.waits.push(ms);
        if (isAbortedByWaiting) this.#abort.abort();
        const timer = setImmediate(callback);
        return () => clearImmediate(timer);
      },
    };
    this.settler = new Settler({
      node: {
        recordBytes: 10_000,
        append: async (body) => {
          const items = JSON.parse(body) as readonly Sent[];
          this.requests.push(items);
          return (left.shift() ?? stored)(items);
        },
      },
      mapping: {
        channel: new ChannelTemplate('o:{key}', ['key']),
        recordKey: undefined,
        rid: undefined,
        payload: 'json',
      },
      dead: { bridge: 'orders', source: 'kafka://h/orders', channel: 'dead:o' },
      trouble: new Trouble({ ...nodeEnv, setTimer: (_, callback) => (callback(), () => {}) }, (why) =>
        this.said.push(why),
      ),
      onDead: (message, code, why) => this.dead.push(`${message.id} ${code}: ${why}`),
      env,
    });
  }

  settle(messages: readonly Message[]): Promise<boolean> {
    return this.settler.settle(messages, this.#abort.signal);
  }

  /** The body in the first dead letter of a request. */
  bodyOf(request: number): string {
    const [letter] = this.requests[request] as readonly [Sent];
    return (letter.data as { readonly body: string }).body;
  }

  /** The ids of each request. */
  get rids(): string[][] {
    return this.requests.map((items) => items.map(({ rid }) => rid));
  }
}

function message(id: string, key = 'a', body = '1'): Message {
  return { id, key: Buffer.from(key), subject: 's', headers: new Map(), body: Buffer.from(body), place: `place ${id}` };
}

describe('settling', () => {
  test('sends what may pass again, in order and before anything newer', async () => {
    const room = new Room([
      (items) => items.map(({ channel, rid }) => (channel === 'o:a' ? error('not_durable') : { cursor: rid })),
    ]);
    const many = Array.from({ length: 1_002 }, (_, n) => message(`m${n}`, n % 2 === 0 ? 'a' : 'b'));
    assert.equal(await room.settle(many), true);
    const [first, second, third] = room.rids as [string[], string[], string[]];
    assert.equal(first.length, 1_000);
    assert.deepEqual(second, [...first.filter((_, n) => n % 2 === 0), 'm1000', 'm1001']);
    assert.equal(third, undefined);
    assert.deepEqual(room.said, ['o:a: it is not_durable (not_durable)', undefined]);
    assert.ok((room.waits[0] as number) >= 40);
    assert.deepEqual(room.settler.totals, { stored: 1_002, duplicates: 0, dead: 0 });
  });

  test('sends everything again where no server answers, and says why once', async () => {
    const away: Answer = () => {
      throw new Error('no server can be reached');
    };
    const room = new Room([away, away, away, (items) => items.map(() => ({ cursor: 'c', duplicate: true }))]);
    assert.equal(await room.settle([message('m1'), message('m2')]), true);
    assert.deepEqual(
      room.rids,
      Array.from({ length: 4 }, () => ['m1', 'm2']),
    );
    assert.deepEqual(room.said, ['no server can be reached', undefined]);
    assert.deepEqual(room.settler.totals, { stored: 2, duplicates: 2, dead: 0 });
  });

  test('waits where the credentials are not taken: that is no fault of a message', async () => {
    const room = new Room([(items) => items.map(() => error('unauthenticated'))]);
    assert.equal(await room.settle([message('m1')]), true);
    assert.deepEqual(room.settler.totals, { stored: 1, duplicates: 0, dead: 0 });
    assert.deepEqual(room.said, ['o:a: it is unauthenticated (unauthenticated)', undefined]);
  });

  test('buries what is refused for good, with all it said, and goes on', async () => {
    const room = new Room([
      ([first, ...rest]) => [error('invalid'), ...stored([...rest, first as Sent]).slice(0, rest.length)],
    ]);
    assert.equal(await room.settle([message('m1'), message('m2', 'a', '{"n":'), message('m3')]), true);
    const [first, second] = room.requests as [readonly Sent[], readonly Sent[]];
    assert.deepEqual(
      first.map(({ channel }) => channel),
      ['o:a', 'dead:o', 'o:a'],
    );
    const { data, channel } = second[0] as Sent;
    assert.equal(channel, 'dead:o');
    assert.deepEqual(data, {
      ...{ code: 'invalid', message: 'it is invalid', bridge: 'orders', source: 'kafka://h/orders' },
      ...{ place: 'place m1', subject: 's', key: 'a', bodyBytes: 1, body: '1' },
    });
    assert.deepEqual(room.dead, ['m2 bad_frame: the payload is not valid JSON', 'm1 invalid: it is invalid']);
    assert.deepEqual(room.settler.totals, { stored: 1, duplicates: 0, dead: 2 });
  });

  test('gives a dead letter the same id each time, and another one for each bridge and message', async () => {
    const room = new Room([]);
    await room.settle([message('m1', 'a', '{'), message('m2', 'a', '{'), message('m1', 'a', '{')]);
    const [one, two, again] = room.rids[0] as [string, string, string];
    assert.equal(one, again);
    assert.notEqual(one, two);
    assert.match(one, /^[\w-]{43}$/);
  });

  test('waits for a dead letter channel that refuses, and loses nothing', async () => {
    const room = new Room([() => [error('forbidden')]]);
    assert.equal(await room.settle([message('m1', 'a', '{')]), true);
    assert.deepEqual(room.rids[0], room.rids[1]);
    assert.deepEqual(room.said, ['dead:o: it is forbidden (forbidden)', undefined]);
    assert.equal(room.settler.totals.dead, 1);
  });

  test('cuts a dead letter that is too large, at once or when it is told so', async () => {
    const room = new Room([stored, () => [error('too_large')]]);
    await room.settle([message('m1', 'a', `"${'x'.repeat(20_000)}"`)]);
    const [whole] = room.requests[0] as [Sent];
    assert.deepEqual(whole.data, {
      ...{ code: 'too_large', message: 'the body has 20002 bytes; 10000 are allowed', bridge: 'orders' },
      ...{ source: 'kafka://h/orders', place: 'place m1', subject: 's', bodyBytes: 20_002 },
      ...{ body: `"${'x'.repeat(255)}`, isCut: true },
    });
    await room.settle([message('m2', 'a', 'x'.repeat(9_000))]);
    assert.equal(room.bodyOf(1).length, 9_000);
    assert.equal(room.bodyOf(2).length, 256);
    assert.equal(room.settler.totals.dead, 2);
  });

  test('sends each alone where all together are too much', async () => {
    const tooMuch: Answer = () => {
      throw new TidewayError('too_large', 'the body is too large');
    };
    const room = new Room([tooMuch, stored, tooMuch]);
    assert.equal(await room.settle([message('m1'), message('m2'), message('m3')]), true);
    const dead = room.rids[3]?.[0] as string;
    assert.deepEqual(room.rids, [['m1', 'm2', 'm3'], ['m1'], ['m2'], [dead, 'm3']]);
    assert.deepEqual(room.dead, ['m2 too_large: the body is too large']);
  });

  test('keeps a request below 1 MiB', async () => {
    const room = new Room([]);
    await room.settle(Array.from({ length: 250 }, (_, n) => message(`m${n}`, 'a', `"${'x'.repeat(9_000)}"`)));
    assert.equal(room.requests.length, 3);
    assert.ok(room.requests.every((items) => JSON.stringify(items).length < 1024 * 1024));
  });

  test('gives up between two tries when it is told to end', async () => {
    const room = new Room([(items) => items.map(() => error('not_durable'))], { isAbortedByWaiting: true });
    assert.equal(await room.settle([message('m1')]), false);
    assert.equal(room.requests.length, 1);
  });
});
