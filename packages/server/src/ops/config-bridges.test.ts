import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { resolveConfig } from './config.ts';
import { ConfigError } from './config-values.ts';

const right = { from: 'kafka://u:hunter2@h/orders', to: 'order:{key}', deadLetter: 'dead:orders' };

describe('bridges of a configuration', () => {
  test('have a group of their name, and read JSON', () => {
    const [bridge] = resolveConfig({ bridges: { orders: right } }).bridges;
    assert.ok(bridge?.direction === 'in');
    assert.equal(bridge.name, 'orders');
    assert.equal(bridge.group, 'tideway-orders');
    assert.equal(bridge.payload, 'json');
    assert.equal(bridge.broker.place, 'kafka://h:9092/orders');
  });

  test('lead to a broker where one stands in to, from one channel or several', () => {
    const out = { to: 'nats://h/shop.>', deadLetter: 'dead:orders' };
    const { bridges } = resolveConfig({
      bridges: { one: { ...out, from: 'order:*' }, two: { ...out, from: ['order:eu/*', 'stock:1'], group: 'shop' } },
    });
    assert.deepEqual(
      bridges.map((bridge) => bridge.direction === 'out' && [bridge.channels, bridge.group, bridge.broker.place]),
      [
        [['order:*'], 'one', 'nats://h:4222/shop.>'],
        [['order:eu/*', 'stock:1'], 'shop', 'nats://h:4222/shop.>'],
      ],
    );
  });

  for (const [title, bridges, messages] of [
    ['no object', [right], [/^bridges: a list is not allowed; an object such as \{ orders: .* \} is$/]],
    ['a name', { 'Orders!': right }, [/^bridges\.Orders!: "Orders!" is no name of a bridge; 1–32 of/]],
    ['no bridge', { orders: 'kafka' }, [/^bridges\.orders: "kafka" is not allowed; an object such as/]],
    [
      'a misspelt setting',
      { orders: { ...right, deadletter: 'dead:x' } },
      [/^bridges\.orders\.deadletter: .*deadLetter/],
    ],
    [
      'everything missing',
      { orders: {} },
      [
        /^bridges\.orders\.from: it is missing; the address of a broker, or channels such as order:\*, are needed: kafka:/,
        /^bridges\.orders\.to: it is missing; a channel such as order:\{key\}, or the address of a broker, is needed$/,
        /^bridges\.orders\.deadLetter: it is missing; a channel such as dead:orders, for what can never arrive, is needed$/,
      ],
    ],
    [
      'an address, without its password',
      { orders: { ...right, from: 'kafka://u:hunter2@h' } },
      [/^bridges\.orders\.from: "kafka:\/\/\*\*\*@h" is not allowed; a topic is missing/],
    ],
    [
      'a word that the broker has not',
      { orders: { ...right, from: 'nats://h/orders.>' } },
      [
        /^bridges\.orders\.to: "order:\{key\}" is not allowed; \{key\} is not known here; \{subject\}, \{subject\.N\}, .* are$/,
      ],
    ],
    [
      'a body that is not read',
      { orders: { ...right, payload: 'bytes', rid: '{body.id}' } },
      [
        /^bridges\.orders\.rid: "\{body\.id\}" is not allowed; \{body\.id\} is not known here; \{key\}, \{header\.NAME\}, \{digest\} are$/,
      ],
    ],
    [
      'a payload',
      { orders: { ...right, payload: 'text' } },
      [/^bridges\.orders\.payload: "text" is not allowed; one of json, bytes is$/],
    ],
    [
      'a dead letter channel and a group',
      { orders: { ...right, deadLetter: 'dead', group: 'a.b' } },
      [
        /^bridges\.orders\.deadLetter: "dead" is not allowed; the name of a channel is/,
        /^bridges\.orders\.group: "a\.b" is not allowed; 1 to 100 of/,
      ],
    ],
    [
      'what belongs to messages, on the way to a broker',
      { orders: { ...right, from: 'order:*', to: 'redis://h/s', rid: '{key}', group: 'g'.repeat(33) } },
      [
        /^bridges\.orders\.rid: "\{key\}" is not allowed; it belongs to a bridge from a broker$/,
        /^bridges\.orders\.group: "g+" is not allowed; 1 to 32 of/,
      ],
    ],
    [
      'a bridge between brokers, and one between channels',
      { one: { ...right, to: 'redis://h/s' }, two: { ...right, from: 'order:*' } },
      [
        /^bridges\.one\.from: "kafka:.*" is not allowed; channels are, such as order:\* /,
        /^bridges\.two\.from: "order:\*" is not allowed; a broker is, since no broker stands in to: kafka:/,
      ],
    ],
    [
      'a subject that nothing can be written to',
      { orders: { ...right, from: 'order:*', to: 'nats://h/a.*.b' } },
      [/^bridges\.orders\.to: "nats:.*" is not allowed; a subject to write to has no \* /],
    ],
    ['a kind', { orders: { ...right, rid: 7 } }, [/^bridges\.orders\.rid: 7 is not allowed; a text is$/]],
  ] as const) {
    test(`${title} is refused: key, value, what is allowed`, () => {
      assert.throws(
        () => resolveConfig({ bridges: bridges as never }),
        (error: unknown) => {
          assert.ok(error instanceof ConfigError);
          assert.ok(!error.message.includes('hunter2'));
          assert.equal(error.problems.length, messages.length, error.message);
          for (const [n, expected] of messages.entries()) assert.match(error.problems[n]?.message as string, expected);
          return true;
        },
      );
    });
  }
});
