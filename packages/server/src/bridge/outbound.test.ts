import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { nodeEnv, type Env } from '../env.ts';
import { withTexts } from './feed-texts.ts';
import { outgoing, write } from './outbound.ts';
import { type Outgoing, type Sink, SinkKeeper, Unwritable } from './sink.ts';
import { Trouble } from './trouble.ts';

const record: Outgoing = { channel: 'order:1', value: Buffer.from('1'), headers: new Map(), id: 'c1' };
const atOnce: Env = { ...nodeEnv, setTimer: (_, callback) => (setImmediate(callback), () => {}) };
const noTrouble = (): Trouble => new Trouble(nodeEnv, () => {});

describe('the page of a feed', () => {
  test('has each JSON payload as its own text, and bytes as they were', () => {
    const page =
      '{"records":[{"channel":"a:1","cursor":"c","data":{"n":12345678901234567890,"data":[1.0]}},' +
      '{"channel":"a:2","encoding":"base64","data":"/w=="}],"next":"n","end":true}';
    assert.deepEqual(JSON.parse(withTexts(page)), {
      records: [
        { channel: 'a:1', cursor: 'c', data: '{"n":12345678901234567890,"data":[1.0]}' },
        { channel: 'a:2', encoding: 'base64', data: '/w==' },
      ],
      next: 'n',
      end: true,
    });
  });

  test('may be empty', () => {
    assert.deepEqual(JSON.parse(withTexts('{"records":[],"next":"n"}')), { records: [], next: 'n' });
  });
});

describe('a record on its way to a broker', () => {
  test('is a native one, with its cursor for an id', () => {
    const head = { id: 'c', channel: 'a:1', cursor: 'c', time: 7, rid: 'r', user: 'ann', key: 'k', trace: 't' };
    const { headers, ...rest } = outgoing({ ...head, data: '{"n":1.0}' });
    assert.deepEqual({ ...rest, value: rest.value.toString() }, { channel: 'a:1', value: '{"n":1.0}', id: 'c' });
    assert.deepEqual(Object.fromEntries(headers), {
      ...{ 'tideway-time': '7', 'tideway-user': 'ann', 'tideway-rid': 'r', 'tideway-key': 'k', traceparent: 't' },
      'tideway-cursor': 'c',
    });
  });
});

describe('writing', () => {
  test('is tried again, on a fresh connection, until the broker has it', async () => {
    const log: string[] = [];
    let lives = 0;
    const keeper = new SinkKeeper(async (): Promise<Sink> => {
      const life = ++lives;
      log.push(`open ${life}`);
      return {
        put: async () => {
          if (life < 3) throw new Error('the connection broke');
          log.push(`put ${life}`);
        },
        close: async () => void log.push(`close ${life}`),
      };
    });
    await write(keeper, record, noTrouble(), new AbortController().signal, atOnce);
    assert.deepEqual(log, ['open 1', 'close 1', 'open 2', 'close 2', 'open 3', 'put 3']);
  });

  test('ends at once where the broker never will take it, and keeps the connection', async () => {
    let closed = 0;
    const refusal = new Unwritable('it is too large');
    const keeper = new SinkKeeper(async () => ({
      put: () => Promise.reject(refusal),
      close: async () => void closed++,
    }));
    await assert.rejects(write(keeper, record, noTrouble(), new AbortController().signal, atOnce), refusal);
    assert.equal(closed, 0);
  });

  test('gives up between two tries when it is no longer its own', async () => {
    const lost = new AbortController();
    const keeper = {
      put: async (): Promise<void> => {
        lost.abort();
        throw new Error('the broker is away');
      },
    };
    await assert.rejects(write(keeper, record, noTrouble(), lost.signal, atOnce), { message: 'the broker is away' });
  });
});
