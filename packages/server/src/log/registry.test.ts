import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { createLog, isOnBroker, parseLogAddress, shownLogAddress } from './registry.ts';

test('a path or a file address is the embedded log in that folder', () => {
  const addresses = [
    'tideway-data',
    './tideway-data',
    resolve('tideway-data'),
    'file:tideway-data',
    'file:./tideway-data',
  ];
  for (const address of [...addresses, `file://${resolve('tideway-data')}`]) {
    assert.deepEqual(parseLogAddress(address), { driver: 'embedded', folder: resolve('tideway-data') }, address);
  }
});

test('a folder may have a colon in its name behind a slash', () => {
  assert.deepEqual(parseLogAddress('./redis:x'), { driver: 'embedded', folder: resolve('./redis:x') });
});

test('memory: is the log in memory', async () => {
  assert.deepEqual(parseLogAddress('memory:'), { driver: 'memory' });
  assert.equal((await createLog('memory:')).declares.durable, false);
});

test('the embedded log is made, not opened', async () => {
  const log = await createLog('./never-made', { embedded: { keepBytes: 1 } });
  assert.equal(log.declares.durable, true);
});

test('a broker’s address is read before its client is needed, and what is wrong with it is said without its password', () => {
  const addresses = [
    'nats://u:secret@127.0.0.1:4222/tideway?partitions=4',
    'amqp://u:secret@127.0.0.1/?name=tideway&partitions=4',
    'amqps://u:secret@127.0.0.1/?name=tideway&partitions=4',
    'kafka://u:secret@127.0.0.1:9092/tideway?partitions=4',
    'kafka+tls://u:secret@127.0.0.1:9092/tideway?partitions=4',
  ];
  for (const address of addresses) {
    const parsed = parseLogAddress(address);
    assert.ok(isOnBroker(parsed) && 'at' in parsed && parsed.at.partitions === 4, address);
    assert.throws(
      () => parseLogAddress(address.replace('partitions=4', 'partitions=none')),
      (error: Error) => !error.message.includes('secret'),
    );
  }
  assert.equal(isOnBroker(parseLogAddress('./tideway-data')), false);
});

test('nats: and nats+tls: are logs on NATS, made and not connected', async () => {
  const parsed = parseLogAddress('nats+tls://broker/orders?partitions=4');
  assert.ok(parsed.driver === 'nats' && parsed.at.isTls && parsed.at.partitions === 4);
  assert.equal((await createLog('nats://broker/orders')).declares.mayRewind, true);
});

test('an address is shown without its credentials', () => {
  assert.equal(shownLogAddress('amqps://u:p@ss@host/?name=x'), 'amqps://***@host/?name=x');
  assert.equal(shownLogAddress('nats://token@host/x'), 'nats://***@host/x');
  assert.equal(shownLogAddress('nats://host/x?a=b@c'), 'nats://host/x?a=b@c');
  assert.equal(shownLogAddress('./a@b'), './a@b');
});

test('redis: and rediss: are logs on Redis, made and not connected', async () => {
  const parsed = parseLogAddress('rediss://:secret@a,b/orders?partitions=4');
  assert.ok(parsed.driver === 'redis' && parsed.at.tls && parsed.at.partitions === 4);
  assert.equal((await createLog('redis://broker')).declares.mayRewind, true);
});

test('amqp: and amqps: are logs on RabbitMQ, made and not connected', async () => {
  const parsed = parseLogAddress('amqps://broker/shop?name=orders&partitions=4');
  assert.ok(parsed.driver === 'rabbitmq' && parsed.at.tls !== undefined && parsed.at.partitions === 4);
  assert.equal((await createLog('amqp://broker')).declares.durable, true);
});

test('an unknown scheme is refused with those that are known, and without what may be a password', () => {
  assert.throws(
    () => parseLogAddress('kafkaa://user:secret@host/x'),
    (error: Error) => {
      assert.match(error.message, /unknown log scheme "kafkaa:"; known: a folder, file:FOLDER, memory:/);
      assert.doesNotMatch(error.message, /secret/);
      return true;
    },
  );
  assert.throws(() => parseLogAddress('constructor:'), /unknown log scheme/);
});

test('an address without a place where one is needed, or with one where none is, is refused', () => {
  assert.throws(() => parseLogAddress(''), /address is empty/);
  assert.throws(() => parseLogAddress('file:'), /needs a folder/);
  assert.throws(() => parseLogAddress('memory:data'), /has no place/);
});
