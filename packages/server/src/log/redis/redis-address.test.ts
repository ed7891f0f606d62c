import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRedisAddress, placeOf } from './redis-address.ts';

test('an address names a host, and everything else has a default', () => {
  assert.deepEqual(parseRedisAddress('redis://localhost'), {
    hosts: [{ host: 'localhost', port: 6379 }],
    tls: false,
    name: 'tideway',
    database: 0,
    replicas: 0,
  });
});

test('an address says who signs in, over TLS, to which members, for which log, and how a new one is made', () => {
  const address = parseRedisAddress(
    'rediss://app:p%40ss%3A%2F@r1:7001,r2.example.com:7002,[::1]:7003/orders' +
      '?partitions=8&replicas=1&ca=ca.pem&cert=c.pem&key=k.pem',
  );
  assert.deepEqual(address, {
    hosts: [
      { host: 'r1', port: 7001 },
      { host: 'r2.example.com', port: 7002 },
      { host: '::1', port: 7003 },
    ],
    tls: true,
    user: 'app',
    password: 'p@ss:/',
    name: 'orders',
    database: 0,
    partitions: 8,
    replicas: 1,
    caFile: 'ca.pem',
    certFile: 'c.pem',
    keyFile: 'k.pem',
  });
  assert.equal(placeOf(address), 'rediss://r1:7001,r2.example.com:7002,[::1]:7003/orders');
  assert.equal(parseRedisAddress('redis://:secret@h').password, 'secret');
  assert.equal(parseRedisAddress('redis://h?database=3').database, 3);
});

test('what is wrong in an address is said with what is allowed, and never with a password', () => {
  const wrong: readonly (readonly [string, RegExp])[] = [
    ['redis:', /is written redis:\/\//],
    ['redis://', /"" is no host/],
    ['redis://h:0', /"h:0" is no host/],
    ['redis://h:70000', /no host/],
    ['redis://a,,b', /"" is no host/],
    ['redis://secret@h', /needs a password/],
    ['redis://u:secret%@h', /percent-encoded/],
    ['redis://h/a/b', /"a\/b" is no name/],
    ['redis://h/{x}', /no name/],
    ['redis://h?partition=8', /no option "partition"; known: partitions, replicas/],
    ['redis://h?partitions=0', /partitions=0 .* from 1 to 256/],
    ['redis://h?partitions=x', /a whole number/],
    ['redis://h?ca=ca.pem', /write rediss:/],
    ['rediss://h?key=k.pem', /come together/],
  ];
  for (const [address, message] of wrong) {
    assert.throws(
      () => parseRedisAddress(address),
      (error: Error) => {
        assert.match(error.message, message, address);
        assert.doesNotMatch(error.message, /secret/);
        return true;
      },
    );
  }
});
