import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseBridgeAddress } from './bridge-address.ts';

describe("a broker's end of a bridge", () => {
  for (const [address, place] of [
    ['kafka://user:secret@a,b:9093/orders.v1?sasl=plain', 'kafka://a:9092,b:9093/orders.v1'],
    ['kafka+tls://a/orders?ca=ca.pem', 'kafka+tls://a:9092/orders'],
    ['amqp://user:secret@rabbit/shop?queue=orders', 'amqp://rabbit:5672/shop?queue=orders'],
    [
      'amqps://rabbit/?exchange=orders&routingKey=order.%23&cert=c.pem&key=k.pem',
      'amqps://rabbit:5671/?exchange=orders',
    ],
    ['nats://secret@n1,n2/orders.*.>', 'nats://n1:4222,n2:4222/orders.*.>'],
    ['nats+tls://n1/orders?ca=ca.pem', 'nats+tls://n1:4222/orders'],
    ['redis://:secret@r1/eu%3Aorders', 'redis://r1:6379/eu:orders'],
    ['rediss://r1/orders?field=data', 'rediss://r1:6379/orders'],
  ] as const) {
    test(`${address} is shown as ${place}`, () => assert.equal(parseBridgeAddress(address).place, place));
  }

  test('keeps what is bridged, with credentials and TLS where they stand for a log', () => {
    const rabbit = parseBridgeAddress(
      'amqps://u:p%40@rabbit/shop?exchange=orders&routingKey=a.*&routingKey=b&cert=c&key=k',
    );
    assert.ok(rabbit.broker === 'rabbitmq');
    assert.deepEqual(rabbit.routingKeys, ['a.*', 'b']);
    const { user, password, vhost, tls } = rabbit.at;
    assert.deepEqual(
      { user, password, vhost, tls },
      {
        ...{ user: 'u', password: 'p@', vhost: 'shop' },
        tls: { ca: undefined, cert: 'c', key: 'k' },
      },
    );
    const redis = parseBridgeAddress('redis://r1/orders?field=data&database=3');
    assert.ok(redis.broker === 'redis');
    assert.deepEqual([redis.stream, redis.field, redis.at.database], ['orders', 'data', 3]);
  });

  for (const [address, why] of [
    ['http://h/x', /^a broker is written kafka:/],
    ['kafka://h', /^a topic is missing/],
    ['kafka://h/orders?partitions=3', /^"partitions" is of a log's address/],
    ['kafka://h/orders?acks=1', /no parameter "acks"/],
    ['amqp://h/shop', /^a queue or an exchange is missing/],
    ['amqp://h/?queue=a&exchange=b', /^a queue or an exchange is missing/],
    ['amqp://h/?queue=a&routingKey=b', /^routingKey belongs to an exchange/],
    ['amqp://h/?queue=a&name=b', /^"name" is of a log's address/],
    ['nats://h/', /^"" is no subject/],
    ['nats://h/orders..eu', /^"orders\.\.eu" is no subject/],
    ['redis://h', /^a stream is missing/],
    ['redis://h/%zz', /"%zz" has a "%"/],
  ] as const) {
    test(`${address} is refused in words`, () => {
      assert.throws(
        () => parseBridgeAddress(address),
        (error: Error) => why.test(error.message),
      );
    });
  }

  test('never says a password', () => {
    for (const address of [
      'kafka://u:hunter2@h',
      'amqp://u:hunter2@h/',
      'redis://u:hunter2@h/',
      'nats://u:hunter2@h/',
    ]) {
      assert.throws(
        () => parseBridgeAddress(address),
        (error: Error) => !error.message.includes('hunter2'),
      );
    }
  });
});
