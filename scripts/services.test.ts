import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import { findChromium, requireService } from './services.ts';

describe('a service a test needs', () => {
  const names = ['TIDEWAY_REQUIRE_SERVICES', 'CHROMIUM', 'PATH'] as const;
  const before = names.map((name) => process.env[name]);
  afterEach(() => {
    for (const [index, name] of names.entries()) {
      const value = before[index];
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  });

  test('is skipped with a reason when it is missing at home', () => {
    delete process.env['TIDEWAY_REQUIRE_SERVICES'];
    const reasons: (string | undefined)[] = [];
    const context = { skip: (reason?: string) => void reasons.push(reason) };
    assert.equal(requireService(context, 'chromium', undefined), false);
    assert.deepEqual(reasons, ['chromium was not found']);
    assert.equal(requireService(context, 'chromium', 'a path'), true);
    assert.equal(reasons.length, 1);
  });

  test('is a failure when it is missing in CI', () => {
    process.env['TIDEWAY_REQUIRE_SERVICES'] = '1';
    const context = { skip: () => assert.fail('skipped') };
    assert.throws(() => requireService(context, 'chromium', undefined), /chromium was not found/);
    assert.equal(requireService(context, 'chromium', 'a path'), true);
  });

  test('chromium is the one that CHROMIUM names, or none', () => {
    process.env['CHROMIUM'] = process.execPath;
    assert.equal(findChromium(), process.execPath);
    process.env['CHROMIUM'] = `${process.execPath}-missing`;
    assert.equal(findChromium(), undefined);
  });
});
