import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { contract, limits, timing } from '@tideway/protocol';
import * as fc from 'fast-check';
import { resolveConfig, type ServerOptions } from './config.ts';
import { defaultRetention } from './config-namespaces.ts';
import { environmentName, flagName, type Setting, settingKeys, settings } from './config-schema.ts';
import { checkValue, ConfigError } from './config-values.ts';

function problemsOf(options: unknown): readonly string[] {
  try {
    resolveConfig(options as ServerOptions);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.problems.map(({ message }) => message);
  }
  return [];
}

describe('defaults', () => {
  test('are those of the design', () => {
    const config = resolveConfig();
    assert.equal(config.host, '127.0.0.1');
    assert.equal(config.port, 7400);
    assert.equal(config.log, './tideway-data');
    assert.equal(config.data, './tideway-data');
    assert.deepEqual(config.origins, []);
    assert.equal(config.pingMs, timing.pingMs);
    assert.equal(config.limits.recordBytes, limits.recordBytes);
    assert.equal(config.limits.outboxBytes, 1024 * 1024);
    assert.equal(config.limits.outboxBytesTotal, 512 * 1024 * 1024);
    assert.equal(config.faults, false);
    assert.equal(config.development, false);
    assert.equal(config.otherwise, undefined);
  });

  test('of the table all pass their own checks', () => {
    for (const key of settingKeys) {
      const setting: Setting = settings[key];
      if ('default' in setting) assert.equal(checkValue(key, setting, setting.default), undefined, key);
    }
  });

  test('of a namespace: 1,000 records and a day, durable, nobody may anything', () => {
    const { namespaces } = resolveConfig({ namespaces: { chat: {} } });
    assert.deepEqual(namespaces['chat'], {
      recordBytes: limits.recordBytes,
      retention: { records: 1_000, ageMs: 86_400_000 },
      durable: true,
      noStore: false,
    });
  });

  test('of the system’s namespace: back ends may read it, and it is kept in memory', () => {
    const { $system } = resolveConfig().namespaces;
    assert.equal($system?.subscribe, 'key');
    assert.equal($system?.durable, false);
    assert.deepEqual(
      resolveConfig({ namespaces: { $system: { subscribe: ['operator'] } } }).namespaces['$system']?.subscribe,
      ['operator'],
    );
  });

  test('in development: anyone may anything in a namespace that is not listed', () => {
    const { otherwise } = resolveConfig({ development: true });
    assert.equal(otherwise?.append, 'anyone');
    assert.deepEqual(otherwise?.retention, defaultRetention);
  });
});

describe('values', () => {
  test('that are given stay as they are, also in part', () => {
    const config = resolveConfig({
      port: 0,
      limits: { recordBytes: 65_536 },
      origins: ['https://app.example.com', 'capacitor://localhost'],
      hosts: 'chat.example.com' as never,
      tls: { cert: 'a.pem', key: 'b.pem' },
      namespaces: {
        chat: {
          subscribe: 'anyone',
          admin: ['mod'],
          retention: { records: 5, bytes: 1_000_000 },
          payload: 'json',
          noStore: true,
        },
      },
    });
    assert.equal(config.port, 0);
    assert.equal(config.limits.recordBytes, 65_536);
    assert.equal(config.limits.subscriptions, 1_000);
    assert.deepEqual(config.hosts, ['chat.example.com'], 'one where several are allowed');
    assert.deepEqual(config.tls, { cert: 'a.pem', key: 'b.pem' });
    assert.deepEqual(config.namespaces['chat'], {
      subscribe: 'anyone',
      admin: ['mod'],
      payload: 'json',
      recordBytes: 65_536,
      retention: { records: 5, ageMs: 86_400_000, bytes: 1_000_000 },
      durable: true,
      noStore: true,
    });
  });

  test('that code gives are handed on untouched', () => {
    const given = {
      contract: contract({ 'chat:{room}': {} }),
      logger: () => {},
      auth: { session: () => undefined },
      namespaces: { chat: { append: () => true } },
    } satisfies ServerOptions;
    const config = resolveConfig(given);
    assert.equal(config.contract, given.contract);
    assert.equal(config.logger, given.logger);
    assert.equal(config.auth, given.auth);
    assert.equal(config.namespaces['chat']?.append, given.namespaces.chat.append);
  });

  test('of undefined and null are not given', () => {
    const config = resolveConfig({ port: undefined, host: null as never, limits: { recordBytes: undefined as never } });
    assert.equal(config.port, 7400);
    assert.equal(config.host, '127.0.0.1');
    assert.equal(config.limits.recordBytes, limits.recordBytes);
  });
});

describe('where things are kept', () => {
  const table: readonly [ServerOptions, string, string | undefined][] = [
    [{ log: './a' }, './a', './a'],
    [{ log: './a', data: './b' }, './a', './b'],
    [{ data: './b' }, './b', './b'],
    [{ log: 'memory:' }, 'memory:', undefined],
    [{ log: 'memory:', data: './b' }, 'memory:', './b'],
    [{ log: 'nats://localhost/x' }, 'nats://localhost/x', './tideway-data'],
    [{ log: String.raw`C:\data` }, String.raw`C:\data`, String.raw`C:\data`],
  ];
  for (const [options, log, data] of table) {
    test(JSON.stringify(options), () => {
      const config = resolveConfig(options);
      assert.deepEqual([config.log, config.data], [log, data]);
    });
  }
});

describe('what is wrong', () => {
  const table: readonly [unknown, RegExp][] = [
    [{ prot: 1 }, /^prot: there is no such setting \(did you mean port\?\); there are: host, port/],
    [{ Port: 1 }, /^Port: there is no such setting \(did you mean port\?\)/],
    [{ port: 65_536 }, /^port: 65536 is not allowed; a port from 0 to 65535 is/],
    [{ port: 1.5 }, /^port: 1\.5 is not allowed/],
    [{ port: '7400' }, /^port: "7400" is not allowed/],
    [{ host: '' }, /^host: "" is not allowed; a text is/],
    [{ pingMs: 999 }, /^pingMs: 999 is not allowed; a duration in milliseconds from 1 s to 1 h is/],
    [{ pingMs: Number.NaN }, /^pingMs: NaN is not allowed/],
    [
      { limits: { recordBytes: 17 * 1024 * 1024 } },
      /^limits\.recordBytes: 17825792 is not allowed; a size from 1 KiB to 16 MiB is/,
    ],
    [{ limits: { outboxByte: 1 } }, /^limits\.outboxByte: there is no such setting \(did you mean outboxBytes\?\)/],
    [{ limits: 5 }, /^limits: 5 is not allowed; an object with recordBytes/],
    [
      { limits: { outboxBytes: 2 ** 29, outboxBytesTotal: 2 ** 28 } },
      /^limits\.outboxBytes: 536870912 is more than limits\.outboxBytesTotal, 268435456/,
    ],
    [{ faults: 'yes' }, /^faults: "yes" is not allowed; true or false is/],
    [{ logLevel: 'verbose' }, /^logLevel: "verbose" is not allowed; one of debug, info, warn, error is/],
    [{ origins: ['https://a.example/'] }, /^origins: .* origins as a browser sends them/],
    [{ origins: ['a.example'] }, /^origins: /],
    [{ origins: ['https://*.example'] }, /^origins: /],
    [{ origins: ['https://a.example:443'] }, /^origins: /],
    [{ origins: [7] }, /^origins: \[7\] is not allowed; a list of texts is/],
    [{ hosts: ['https://a.example'] }, /^hosts: .* names without scheme and port/],
    [{ hosts: ['a.example:7400'] }, /^hosts: /],
    [{ tls: { cert: 'a.pem' } }, /^tls\.key: is missing; TLS needs both/],
    [{ tls: { cert: 'a.pem', key: 'b.pem', ca: 'c' } }, /^tls\.ca: there is no such setting; there are: cert, key/],
    [{ auth: { jwks: 'x' } }, /^auth\.jwks: there is no such setting/],
    [
      { auth: { jwt: { algorithms: ['none'] } } },
      /^auth\.jwt\.algorithms: \["none"\] is not allowed; a list of HS256, RS256, ES256, EdDSA is/,
    ],
    [{ auth: { session: 'cookie' } }, /^auth\.session: "cookie" is not allowed; a function is/],
    [{ auth: { ticketSecret: 'too short' } }, /^auth\.ticketSecret: has 9 bytes; at least 32 are needed/],
    [{ logger: console }, /^logger: .* a function that takes a line is/],
    [{ namespaces: [] }, /^namespaces: \[\] is not allowed; an object/],
    [{ namespaces: { Chat: {} } }, /^namespaces\.Chat: "Chat" is no namespace; 1–32 of a–z/],
    [{ namespaces: { $mine: {} } }, /^namespaces\.\$mine: "\$mine" is no namespace/],
    [{ namespaces: { chat: 'anyone' } }, /^namespaces\.chat: "anyone" is not allowed; an object/],
    [
      { namespaces: { chat: { subscribe: 'users' } } },
      /^namespaces\.chat\.subscribe: "users" is not allowed; 'anyone', 'user', 'key', a list of roles/,
    ],
    [{ namespaces: { chat: { subscribe: [] } } }, /^namespaces\.chat\.subscribe: \[\] is not allowed/],
    [
      { namespaces: { chat: { subscribe: ['mod', 'key'] } } },
      /^namespaces\.chat\.subscribe: .* lists "key", which is no role/,
    ],
    [{ namespaces: { chat: { admin: 'anyone' } } }, /^namespaces\.chat\.admin: "anyone" is not allowed; 'user', 'key'/],
    [
      { namespaces: { chat: { read: 'user' } } },
      /^namespaces\.chat\.read: there is no such setting; there are: subscribe, append/,
    ],
    [
      { namespaces: { chat: { retention: 5 } } },
      /^namespaces\.chat\.retention: 5 is not allowed; \{ records, ageMs, bytes \} is/,
    ],
    [
      { namespaces: { chat: { retention: { records: 0 } } } },
      /^namespaces\.chat\.retention\.records: 0 is not allowed; a whole number from 1 to/,
    ],
    [
      { namespaces: { chat: { payload: 'text' } } },
      /^namespaces\.chat\.payload: "text" is not allowed; one of json, bytes is/,
    ],
    [{ contract: { 'chat:{room}': {} } }, /^contract: "chat:\{room\}" has no namespace; say in namespaces\.chat/],
  ];
  for (const [options, message] of table) {
    test(message.source, () => {
      const problems = problemsOf(options);
      assert.equal(problems.length, 1, problems.join('\n'));
      assert.match(problems[0] ?? '', message);
    });
  }

  test('is told all at once, a line each', () => {
    assert.throws(
      () => resolveConfig({ port: -1, pingMs: 1, namespaces: { chat: { subscribe: 'x' as never } } }),
      (error: ConfigError) => {
        return error.problems.length === 3 && error.message.split('\n').length === 3;
      },
    );
  });

  test('is told without the value of a secret', () => {
    for (const secret of [42_424_242, ['hunter2hunter2'], { hunter2: 1 }]) {
      const [message] = problemsOf({ auth: { jwt: { secret } } });
      assert.match(message ?? '', /^auth\.jwt\.secret: the value given \(not shown\) is not allowed/);
      assert.doesNotMatch(message ?? '', /hunter2|4242/);
    }
  });

  test('is always a ConfigError, whatever the options are', () => {
    const value = fc.oneof(
      fc.jsonValue(),
      fc.constant(() => {}),
      fc.constant(undefined),
    );
    const options = fc.dictionary(
      fc.constantFrom('port', 'host', 'limits', 'tls', 'auth', 'namespaces', 'origins', 'contract', '__proto__', 'x'),
      fc.oneof(value, fc.dictionary(fc.string(), value)),
    );
    fc.assert(fc.property(options, (given) => void problemsOf(given)));
  });
});

test('each setting has its own variable and flag; secrets and structures have no flag', () => {
  const variables = settingKeys.map(environmentName);
  assert.equal(new Set(variables).size, settingKeys.length);
  for (const variable of variables) assert.match(variable, /^TIDEWAY_[A-Z]+(_[A-Z]+)*$/);
  const flags = settingKeys.map(flagName).filter((flag) => flag !== undefined);
  assert.equal(new Set(flags).size, flags.length);
  for (const flag of flags) assert.match(flag, /^[a-z]+(-[a-z]+)*$/);
  assert.equal(environmentName('limits.outboxBytes'), 'TIDEWAY_LIMITS_OUTBOX_BYTES');
  assert.equal(flagName('limits.outboxBytes'), 'limits-outbox-bytes');
  assert.equal(flagName('auth.jwt.secret'), undefined);
  assert.equal(flagName('namespaces'), undefined);
});

test('methods are named, say who may, and have a function; each fault is said with its key', () => {
  const handle = (): number => 1;
  const { calls } = resolveConfig({ calls: { 'cart.total': { call: ['buyer'], handle }, 'm-1_B': { handle } } });
  assert.deepEqual(Object.keys(calls), ['cart.total', 'm-1_B']);
  const wrong: readonly (readonly [unknown, RegExp])[] = [
    ['x', /^calls: "x" is not allowed; an object such as/],
    [{ 'a b': { handle } }, /^calls\.a b: "a b" is no method; 1–64 of A–Z/],
    [{ m: handle }, /^calls\.m: .* is not allowed; calls are given as/],
    [{ m: { call: 'user' } }, /^calls\.m\.handle: .* is not allowed; a function is/],
    [{ m: { handle, call: 'everybody' } }, /^calls\.m\.call: "everybody" is not allowed; 'anyone', 'user'/],
    [{ m: { handle, cal: 'user' } }, /^calls\.m\.cal: there is no such setting/],
    [
      Object.fromEntries(Array.from({ length: 101 }, (_, n) => [`m${n}`, { handle }])),
      /^calls: has 101 methods; at most 100 are allowed/,
    ],
  ];
  for (const [calls, message] of wrong) {
    const problems = problemsOf({ calls });
    assert.equal(problems.length, 1, problems.join('\n'));
    assert.match(problems[0] as string, message);
  }
});
