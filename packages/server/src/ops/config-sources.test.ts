import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { resolveConfig } from './config.ts';
import { type Setting, settingKeys, settings } from './config-schema.ts';
import { describeConfig, mergeConfig } from './config-sources.ts';
import { ConfigError, parseValue, showNumber } from './config-values.ts';

function originOf(merged: ReturnType<typeof mergeConfig>, key: string): string | undefined {
  return describeConfig(merged).find((line) => line.key === key)?.origin;
}

describe('the order of sources', () => {
  test('is default, file, environment, flag: the later wins, and is named', () => {
    const file = { port: 1, host: 'a', pingMs: 30_000, limits: { recordBytes: 2_048, subscriptions: 5 } };
    const environment = { TIDEWAY_PORT: '2', TIDEWAY_HOST: 'b', TIDEWAY_LIMITS_SUBSCRIPTIONS: '6' };
    const merged = mergeConfig({ file, environment, flags: { port: '3' } });
    const config = resolveConfig(merged.options);
    assert.deepEqual(
      [config.port, config.host, config.pingMs, config.limits.recordBytes, config.limits.subscriptions, config.helloMs],
      [3, 'b', 30_000, 2_048, 6, 10_000],
    );
    assert.deepEqual(
      ['port', 'host', 'pingMs', 'limits.recordBytes', 'limits.subscriptions', 'helloMs'].map((key) =>
        originOf(merged, key),
      ),
      ['--port', 'TIDEWAY_HOST', 'file', 'file', 'TIDEWAY_LIMITS_SUBSCRIPTIONS', 'default'],
    );
  });

  test('leaves the file’s own objects as they are, and functions and contracts whole', () => {
    const session = () => undefined;
    const contract = { 'chat:{room}': {} };
    const file = Object.freeze({
      contract,
      auth: Object.freeze({ session, jwt: Object.freeze({ issuer: 'a' }) }),
      limits: Object.freeze({}),
    });
    const { options } = mergeConfig({
      file,
      environment: { TIDEWAY_AUTH_JWT_ISSUER: 'b', TIDEWAY_LIMITS_SESSIONS: '7' },
    });
    assert.equal(options.contract, contract);
    assert.equal(options.auth?.session, session);
    assert.deepEqual(options.auth?.jwt, { issuer: ['b'] });
    assert.equal(options.limits?.sessions, 7);
  });

  test('takes an empty variable for one that is not set', () => {
    assert.equal(resolveConfig(mergeConfig({ environment: { TIDEWAY_PORT: '' } }).options).port, 7400);
  });

  test('takes lists by comma or by repeating the flag', () => {
    const { options } = mergeConfig({
      environment: { TIDEWAY_HOSTS: 'a.example, b.example' },
      flags: {
        origins: ['https://a.example', 'https://b.example'],
        faults: true,
        'limits-record-bytes': '1MiB',
      },
    });
    const config = resolveConfig(options);
    assert.deepEqual(config.origins, ['https://a.example', 'https://b.example']);
    assert.deepEqual(config.hosts, ['a.example', 'b.example']);
    assert.equal(config.faults, true);
    assert.equal(config.limits.recordBytes, 1024 * 1024);
  });

  test('takes namespaces and keys as JSON from the environment, with sizes and durations in words', () => {
    const environment = {
      TIDEWAY_NAMESPACES: '{"chat":{"subscribe":"anyone","recordBytes":"1 MiB","retention":{"ageMs":"7d"}}}',
      TIDEWAY_AUTH_KEYS: `[{"name":"a","sha256":"${'0'.repeat(64)}"}]`,
    };
    const config = resolveConfig(mergeConfig({ environment }).options);
    assert.equal(config.namespaces['chat']?.subscribe, 'anyone');
    assert.equal(config.namespaces['chat']?.recordBytes, 1024 * 1024);
    assert.equal(config.namespaces['chat']?.retention.ageMs, 7 * 86_400_000);
    assert.equal(config.auth.keys?.[0]?.name, 'a');
  });
});

describe('what is wrong', () => {
  const table: readonly [Parameters<typeof mergeConfig>[0], RegExp][] = [
    [{ environment: { TIDEWAY_PORT: '74oo' } }, /^TIDEWAY_PORT: "74oo" is not allowed; a port from 0 to 65535 is/],
    [{ flags: { port: '-1' } }, /^--port: "-1" is not allowed/],
    [{ flags: { 'ping-ms': '0s' } }, /^--ping-ms: 0s is not allowed; a duration in milliseconds from 1 s/],
    [{ environment: { TIDEWAY_PORT: '70_000' } }, /^TIDEWAY_PORT: 70_000 is not allowed; a port/],
    [{ flags: { 'ping-ms': '25 parsecs' } }, /^--ping-ms: "25 parsecs" is not allowed; a duration/],
    [{ environment: { TIDEWAY_FAULTS: 'perhaps' } }, /^TIDEWAY_FAULTS: "perhaps" is not allowed; true or false is/],
    [
      { environment: { TIDEWAY_NAMESPACES: '{chat}' } },
      /^TIDEWAY_NAMESPACES: .* an object or list \(as JSON in the environment\) is/,
    ],
    [{ file: (() => ({})) as never }, /must export an object by default, not a function/],
  ];
  for (const [sources, message] of table) {
    test(message.source, () => {
      assert.throws(
        () => mergeConfig(sources),
        (error) => error instanceof ConfigError && message.test(error.message),
      );
    });
  }

  test('a misspelt variable is told, with the nearest right one', () => {
    const { warnings } = mergeConfig({ environment: { TIDEWAY_LIMITS_SESSION: '5', TIDEWAY_URL: 'x', PATH: 'y' } });
    assert.deepEqual(warnings, [
      'TIDEWAY_LIMITS_SESSION is not a variable of Tideway (did you mean TIDEWAY_LIMITS_SESSIONS?)',
    ]);
  });
});

describe('what is printed', () => {
  test('never has a secret, from wherever it comes', () => {
    const secret = 'hunter2-hunter2-hunter2-hunter2-hunter2';
    for (const sources of [
      { environment: { TIDEWAY_AUTH_JWT_SECRET: secret } },
      { file: { auth: { jwt: { secret } } } },
    ]) {
      const lines = describeConfig(mergeConfig(sources));
      assert.ok(!JSON.stringify(lines).includes('hunter2'));
      assert.equal(lines.find(({ key }) => key === 'auth.jwt.secret')?.value, '(set, not shown)');
    }
  });

  test('is every setting, as people read it', () => {
    const lines = new Map(
      describeConfig(mergeConfig({ file: { namespaces: { chat: { append: () => true } } } })).map((line) => [
        line.key,
        line.value,
      ]),
    );
    assert.deepEqual([...lines.keys()], settingKeys);
    assert.equal(lines.get('limits.recordBytes'), '256 KiB');
    assert.equal(lines.get('pingMs'), '25 s');
    assert.equal(lines.get('port'), '7400');
    assert.equal(lines.get('tls.cert'), '(not set)');
    assert.equal(lines.get('namespaces'), '{"chat":{"append":"(a function)"}}');
  });
});

test('a number that is shown is read back the same', () => {
  const numbers = settingKeys.map((key): Setting => settings[key]).filter((setting) => 'min' in setting);
  fc.assert(
    fc.property(fc.constantFrom(...numbers), fc.nat(2 ** 31 - 1), (setting, value) => {
      const shown = showNumber(setting.kind, value).replaceAll(',', setting.kind === 'count' ? '_' : '');
      assert.equal(parseValue(setting, shown), value, shown);
    }),
  );
});
