import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConsumeMessage } from 'amqplib';
import { fromNative, toNative } from '../broker/native-record.ts';
import type { PhysicalRecord } from '../log.ts';
import { fromMessage, toProperties } from './rabbitmq-record.ts';

/** A message as the client gives it; nothing but what is read of it. */
function message(content: Buffer, headers: Record<string, unknown>, more: { timestamp?: number } = {}): ConsumeMessage {
  return { content, properties: { headers, ...more } } as unknown as ConsumeMessage;
}

test('a record comes back as it was, with its offset as its number', () => {
  const record: PhysicalRecord = {
    channel: 'chat:1',
    kind: 'data',
    encoding: 'bytes',
    payload: Buffer.from([0, 255]),
    time: 1_764_000_000_000,
    user: 'Zoë',
    rid: 'r1',
    key: '',
    expect: 'Ab3-_z.41234.zzzz',
    trace: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
    ticket: 't',
  };
  const native = toNative(record);
  const { headers, mandatory, contentType } = toProperties(native);
  assert.equal(mandatory, true);
  assert.equal(contentType, 'application/octet-stream');
  const stored = fromMessage(message(native.value, { ...(headers as object), 'x-stream-offset': 7 }));
  assert.equal(stored.number, 7);
  assert.deepEqual(fromNative(stored), record);
});

test('plain clients may write numbers, booleans and byte arrays, and give their time in seconds', () => {
  const headers = {
    'x-stream-offset': 1,
    'tideway-channel': Buffer.from('chat:1'),
    'tideway-rid': 42,
    'tideway-key': true,
    other: { nested: 1 },
  };
  const stored = fromMessage(message(Buffer.from('{}'), headers, { timestamp: 1_764_000_000 }));
  const { channel, rid, key, time } = fromNative(stored);
  assert.deepEqual({ channel, rid, key, time }, { channel: 'chat:1', rid: '42', key: 'true', time: 1_764_000_000_000 });
});

test('what has no channel, or headers of ours that are no text, says nothing readable', () => {
  for (const headers of [
    {},
    { 'tideway-channel': Buffer.from([0xff]) },
    { 'tideway-channel': 'chat:1', 'tideway-key': Buffer.from([0xff, 0xfe]) },
    { 'tideway-channel': 'chat:1', 'tideway-key': { a: 1 } },
  ]) {
    assert.equal(fromMessage(message(Buffer.from('1'), headers)).channel, undefined, JSON.stringify(headers));
  }
});
