import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseKafkaAddress } from './kafka-address.ts';

test('an address names brokers, a topic, and no more than needs be', () => {
  const address = parseKafkaAddress('kafka://a:1,b,[::1]:3/orders');
  assert.deepEqual(address.brokers, [
    { host: 'a', port: 1 },
    { host: 'b', port: 9_092 },
    { host: '::1', port: 3 },
  ]);
  assert.deepEqual(
    [address.name, address.partitions, address.replication, address.tls, address.login, address.retentionMs],
    ['orders', undefined, undefined, undefined, undefined, 604_800_000],
  );
  assert.equal(parseKafkaAddress('kafka://a').name, 'tideway');
  assert.equal(parseKafkaAddress('kafka://a/').name, 'tideway');
});

test('credentials may hold any character, and are not in the name of the place', () => {
  const { login, tls, place } = parseKafkaAddress(
    'kafka+tls://%C3%BC%40:p%3A%2F%20%25@a:1/x?sasl=scram-sha-256&ca=/a%20b.pem',
  );
  assert.deepEqual(login, { mechanism: 'SCRAM-SHA-256', user: 'ü@', password: 'p:/ %' });
  assert.deepEqual(tls, { ca: '/a b.pem', cert: undefined, key: undefined });
  assert.equal(place, 'kafka+tls://a:1/x');
  assert.equal(parseKafkaAddress('kafka://u:p@a').login?.mechanism, 'SCRAM-SHA-512');
  assert.equal(parseKafkaAddress('kafka://u:p:q@a?sasl=plain').login?.password, 'p:q');
});

test('retention is a time, none or forever', () => {
  const of = (text: string): number => parseKafkaAddress(`kafka://a/x?retention=${text}`).retentionMs;
  assert.deepEqual(['90m', '12h', '30d', 'none', 'forever'].map(of), [
    5_400_000,
    43_200_000,
    2_592_000_000,
    0,
    Number.POSITIVE_INFINITY,
  ]);
});

test('what is wrong is said in words that never hold a credential', () => {
  for (const [address, words] of [
    ['kafka:a', /has the form kafka:\/\//],
    ['kafka://', /host or host:port/],
    ['kafka://a,,b/x', /host or host:port/],
    ['kafka://a:0/x', /host or host:port/],
    ['kafka://a:70000/x', /host or host:port/],
    ['kafka://user:secret@a b:x/y', /host or host:port/],
    ['kafka://a/x/y', /"x\/y" cannot be the name of a topic/],
    ['kafka://a/..', /cannot be the name/],
    [`kafka://a/${'x'.repeat(201)}`, /at most 200/],
    ['kafka://a/x?partitions=0', /partitions is a whole number from 1 to 1024, not "0"/],
    ['kafka://a/x?replication=two', /replication is a whole number/],
    ['kafka://a/x?retention=7', /retention is a time such as/],
    ['kafka://a/x?retention=0d', /retention is a time such as/],
    ['kafka://a/x?acks=1', /no parameter "acks"; known: partitions/],
    ['kafka://a/x?sasl=plain', /sasl needs a user and a password/],
    ['kafka://user:secret@a/x?sasl=gssapi', /sasl is one of plain, scram-sha-256, scram-sha-512, not "gssapi"/],
    ['kafka://secret@a/x', /a login is written user:password@/],
    ['kafka://user:secret%zz@a/x', /write %25/],
    ['kafka://a/x?advertised=yes', /advertised is ignore, not "yes"/],
    ['kafka://a/x?ca=c.pem', /belong to kafka\+tls:\/\//],
    ['kafka+tls://a/x?cert=c.pem', /cert and key come together/],
  ] as const) {
    assert.throws(
      () => parseKafkaAddress(address),
      (error: Error) => {
        assert.match(error.message, words, address);
        assert.doesNotMatch(error.message, /secret/);
        return true;
      },
    );
  }
});
