import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Item, mapMessage, type MappingOptions, type Refused } from './mapping.ts';
import type { Message } from './message.ts';
import { ChannelTemplate, Template, type WordName } from './template.ts';

const words: readonly WordName[] = ['key', 'header', 'body', 'digest'];
const plain: MappingOptions = {
  channel: new ChannelTemplate('order:{key}', words),
  recordKey: undefined,
  rid: undefined,
  payload: 'json',
};

function message(body: string | Buffer, more: Partial<Message> = {}): Message {
  return {
    key: Buffer.from('7'),
    subject: 'orders',
    headers: new Map(),
    body: Buffer.from(body),
    id: 't/0/1',
    place: '',
    ...more,
  };
}

function item(one: Message, options = plain): unknown {
  const mapped = mapMessage(one, options, 1_000);
  assert.ok(!('code' in mapped), JSON.stringify(mapped));
  assert.equal(mapped.bytes, Buffer.byteLength(mapped.text));
  return JSON.parse((mapped satisfies Item).text);
}

function refused(one: Message, options = plain): Omit<Refused, 'message'> {
  const { message: _, ...why } = mapMessage(one, options, 1_000) as Refused;
  return why;
}

describe('a message becomes an item of a batch', () => {
  test('with its body as it is, and its place for an id', () => {
    const mapped = mapMessage(message(' {"n":12345678901234567890,\n"a": 1.0} '), plain, 1_000) as Item;
    assert.equal(mapped.text, '{"channel":"order:7","rid":"t/0/1","data":{"n":12345678901234567890,"a": 1.0}}');
  });

  test("with what Tideway's own headers say, where the configuration says nothing", () => {
    const headers = new Map([
      ['tideway-rid', 'r1'],
      ['tideway-key', 'k1'],
      ['tideway-encoding', 'bytes'],
      ['tideway-user', 'mallory'],
      ['traceparent', '00-a-b-01'],
    ]);
    assert.deepEqual(item(message(Buffer.of(0xff, 0), { headers })), {
      ...{ channel: 'order:7', rid: 'r1', key: 'k1', trace: '00-a-b-01' },
      ...{ encoding: 'base64', data: '/wA=' },
    });
  });

  test('with key and id as the configuration says, first of all', () => {
    const headers = new Map([['tideway-rid', 'r1']]);
    const options = { ...plain, recordKey: new Template('{body.s}', words), rid: new Template('e-{body.id}', words) };
    assert.deepEqual(item(message('{"s":"paid","id":9}', { headers }), options), {
      ...{ channel: 'order:7', rid: 'e-9', key: 'paid' },
      data: { s: 'paid', id: 9 },
    });
  });

  test('a number that a double cannot hold keeps its digits in a name', () => {
    const options = { ...plain, channel: new ChannelTemplate('order:{body.id}', words) };
    assert.equal(
      (mapMessage(message('{"id":12345678901234567890}'), options, 1_000) as Item).channel,
      'order:12345678901234567890',
    );
  });

  test('an id that is too long, or not ASCII, stands as its digest; none at all is one of chance', () => {
    for (const id of ['x'.repeat(65), 'é'])
      assert.match((item(message('1', { id })) as { rid: string }).rid, /^[\w-]{43}$/);
    const { id: _, ...anonymous } = message('1');
    assert.notDeepEqual(item(anonymous), item(anonymous));
  });

  test('bytes where the configuration says so, whatever they are', () => {
    assert.deepEqual(item(message('{"n":'), { ...plain, payload: 'bytes' }), {
      ...{ channel: 'order:7', rid: 't/0/1', encoding: 'base64', data: 'eyJuIjo=' },
    });
  });
});

describe('a message that can never be a record is refused in words', () => {
  for (const [title, one, code, why] of [
    ['broken JSON', message('{"n":'), 'bad_frame', 'the payload is not valid JSON'],
    ['no body at all', message(''), 'bad_frame', 'the payload is not valid JSON'],
    ['broken UTF-8', message(Buffer.of(0x22, 0xff, 0x22)), 'bad_frame', 'the payload is not valid UTF-8'],
    ['too large', message(`"${'x'.repeat(1_000)}"`), 'too_large', 'the body has 1002 bytes; 1000 are allowed'],
    ['no key', message('1', { key: Buffer.alloc(0) }), 'invalid', 'order:{key}: {key} has no value in this message'],
    [
      'a long key of the record',
      message('1', { headers: new Map([['tideway-key', 'k'.repeat(129)]]) }),
      'invalid',
      "the record's key has 129 bytes; 1 to 128 are allowed",
    ],
  ] as const) {
    test(title, () => assert.deepEqual(refused(one), { code, why }));
  }

  test('an id that the configuration wants and the message does not have', () => {
    const options = { ...plain, rid: new Template('{header.event-id}', words) };
    assert.deepEqual(refused(message('1'), options), {
      code: 'invalid',
      why: '{header.event-id} has no value in this message',
    });
  });
});
