import assert from 'node:assert/strict';
import { test } from 'node:test';
import { natsPlace, parseNatsAddress } from './nats-address.ts';

test('an address names hosts, a log, and what is not the usual', () => {
  const plain = parseNatsAddress('nats://broker/tideway');
  assert.deepEqual(plain.hosts, ['broker:4222']);
  assert.deepEqual(
    [plain.name, plain.partitions, plain.replicas, plain.isTls],
    ['tideway', undefined, undefined, false],
  );
  const full = parseNatsAddress(
    'nats+tls://a.example:4223,[::1],10.0.0.1/my-log_1?partitions=16&replicas=3&ca=/ca.pem&cert=c.pem&key=k.pem',
  );
  assert.deepEqual(full.hosts, ['a.example:4223', '[::1]:4222', '10.0.0.1:4222']);
  assert.deepEqual([full.name, full.partitions, full.replicas, full.isTls], ['my-log_1', 16, 3, true]);
  assert.deepEqual([full.caFile, full.certFile, full.keyFile], ['/ca.pem', 'c.pem', 'k.pem']);
});

test('credentials are a user with a password, a token, or a file', () => {
  const user = parseNatsAddress('nats://al%40ice:p%3Aw@h/x');
  assert.deepEqual([user.user, user.password, user.token], ['al@ice', 'p:w', undefined]);
  const token = parseNatsAddress('nats://s3cret@h/x');
  assert.deepEqual([token.user, token.password, token.token], [undefined, undefined, 's3cret']);
  assert.equal(parseNatsAddress('nats://h/x?credentials=a.creds').credentialsFile, 'a.creds');
  assert.equal(parseNatsAddress('nats://h/x?nkey=a.nk').nkeyFile, 'a.nk');
});

test('the place in messages has no credentials', () => {
  assert.equal(natsPlace(parseNatsAddress('nats://alice:s3cret@h:1,i:2/x?partitions=2')), 'nats://h:1,i:2/x');
});

test('what is no address is refused in words, without what may be a password', () => {
  const refused: readonly (readonly [string, RegExp])[] = [
    ['nats://h', /a name behind the host/],
    ['nats://alice:s3cret@h', /a name behind the host/],
    ['nats://h/', /the name of a log/],
    ['nats://h/a.b', /the name of a log/],
    ['nats://h/x?replica=3', /no option "replica"; known: partitions, replicas/],
    ['nats://h/x?partitions=0', /partitions=0 .* from 1 to 1024/],
    ['nats://h/x?partitions=many', /partitions=many/],
    ['nats://h/x?replicas=6', /replicas=6 .* from 1 to 5/],
    ['nats://h:0/x', /a port is 1 to 65535/],
    ['nats://h,/x', /"" is no host/],
    ['nats://h h/x', /is no host/],
    ['nats://a:s3cret@h/x?nkey=f', /exclude one another/],
    ['nats://h/x?ca=f', /for nats\+tls/],
    ['nats+tls://h/x?cert=f', /need each other/],
    ['nats://%zz:s3cret@h/x', /percent-encoded/],
  ];
  for (const [address, words] of refused) {
    assert.throws(
      () => parseNatsAddress(address),
      (error: Error) => {
        assert.match(error.message, words, address);
        assert.doesNotMatch(error.message, /s3cret/);
        return true;
      },
    );
  }
});
