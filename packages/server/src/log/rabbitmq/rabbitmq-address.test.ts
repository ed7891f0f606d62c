import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRabbitmqAddress } from './rabbitmq-address.ts';

test('an address names host, user, virtual host, and the log behind the question mark', () => {
  assert.deepEqual(
    parseRabbitmqAddress('amqp://u%40x:p%2Fw@broker.example:5673/shop%2Fa?name=orders&partitions=4&keepBytes=1000'),
    {
      hosts: [{ host: 'broker.example', port: 5673 }],
      user: 'u@x',
      password: 'p/w',
      vhost: 'shop/a',
      name: 'orders',
      partitions: 4,
      keepBytes: 1_000,
      segmentBytes: 250,
      tls: undefined,
      place: 'amqp://broker.example:5673/shop%2Fa?name=orders',
    },
  );
});

test('what is not said is as RabbitMQ is delivered; the partitions are left to the log', () => {
  const { hosts, user, password, vhost, name, partitions, keepBytes, segmentBytes, place } =
    parseRabbitmqAddress('amqp://localhost');
  assert.deepEqual(
    { hosts, user, password, vhost, name, partitions },
    {
      hosts: [{ host: 'localhost', port: 5672 }],
      user: 'guest',
      password: 'guest',
      vhost: '/',
      name: 'tideway',
      partitions: undefined,
    },
  );
  assert.equal(place, 'amqp://localhost:5672/?name=tideway');
  assert.ok(segmentBytes >= 20_000_000 && segmentBytes <= 50_000_000);
  assert.ok(keepBytes >= 4 * 65_536 * 16 * 1024);
  for (const empty of ['amqp://localhost/', 'amqp://localhost/%2F', 'amqp://localhost?name=tideway']) {
    assert.equal(parseRabbitmqAddress(empty).vhost, '/', empty);
  }
});

test('with TLS the port is another, and files may be named', () => {
  const { hosts, tls } = parseRabbitmqAddress('amqps://h/?ca=ca.pem&cert=c.pem&key=k.pem');
  assert.deepEqual(hosts, [{ host: 'h', port: 5671 }]);
  assert.deepEqual(tls, { ca: 'ca.pem', cert: 'c.pem', key: 'k.pem' });
});

test('members of a cluster stand behind each other', () => {
  const { hosts, user, place } = parseRabbitmqAddress('amqp://u:p@a,b:5673,[::1]:5674/?name=x');
  assert.deepEqual(hosts, [
    { host: 'a', port: 5672 },
    { host: 'b', port: 5673 },
    { host: '::1', port: 5674 },
  ]);
  assert.equal(user, 'u');
  assert.equal(place, 'amqp://a:5672,b:5673,[::1]:5674/?name=x');
});

const refused: readonly (readonly [address: string, says: RegExp])[] = [
  ['amqp://', /is no URL|needs a host/],
  ['amqp://u:secret@h/?nmae=x', /"nmae" is not known; name, partitions/],
  ['amqp://u:secret@h/?name=a%20b', /name "a b"/],
  ['amqp://u:secret@h/?name=', /name ""/],
  ['amqp://u:secret@h/?partitions=0', /partitions "0": a whole number/],
  ['amqp://u:secret@h/?partitions=1e3', /partitions "1e3"/],
  ['amqp://u:secret@h/?partitions=1000', /at most 256/],
  ['amqp://u:secret@h/?keepBytes=100&segmentBytes=60', /more than half/],
  ['amqp://u:secret@h/?ca=x', /are for amqps:/],
  ['amqps://u:secret@h/?cert=x', /belong together/],
  ['amqp://u:secret@h:99999/', /is no URL/],
  ['amqp://u:secret@h,i:99999/', /"i:99999" is no host/],
  ['amqp://u:secret@h,/', /"" is no host/],
  ['amqp://u:secret@h,i@j/', /is no host/],
];
for (const [address, says] of refused) {
  test(`${address.replace('secret', '…')} is refused in words, without the password`, () => {
    assert.throws(
      () => parseRabbitmqAddress(address),
      (error: Error) => {
        assert.match(error.message, says);
        assert.doesNotMatch(error.message, /secret/);
        return true;
      },
    );
  });
}
