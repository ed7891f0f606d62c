/**
 * What a test may need beside Node: finds it, or skips the test with a reason that is printed. Under
 * TIDEWAY_REQUIRE_SERVICES=1 (CI) a missing service is a failure, so that nothing is ever skipped unnoticed there.
 */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { TestContext } from 'node:test';

const chromiumNames = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome'];
const chromiumPlaces = [
  '/usr/bin',
  '/usr/local/bin',
  '/opt/google/chrome',
  '/snap/bin',
  '/Applications/Google Chrome.app/Contents/MacOS',
  '/Applications/Chromium.app/Contents/MacOS',
];
const chromiumAppNames = ['Google Chrome', 'Chromium'];

/** The path of a Chromium to run tests in: the one CHROMIUM names, else the first found in the usual places. */
export function findChromium(): string | undefined {
  const named = process.env['CHROMIUM'];
  if (named) return isExecutable(named) ? named : undefined;
  const places = [...(process.env['PATH'] ?? '').split(delimiter), ...chromiumPlaces].filter((place) => place !== '');
  const candidates = places.flatMap((place) =>
    [...chromiumNames, ...chromiumAppNames].map((name) => join(place, name)),
  );
  return candidates.find(isExecutable);
}

/**
 * True when `found` is there. Otherwise the test is skipped with a visible reason, and the caller must return; in CI
 * it throws instead.
 *
 *     const chromium = findChromium();
 *     if (!requireService(t, 'chromium', chromium)) return;
 */
export function requireService<T>(
  t: Pick<TestContext, 'skip'>,
  name: string,
  found: T,
): found is Exclude<T, undefined | null | false> {
  if (found !== undefined && found !== null && found !== false) return true;
  if (process.env['TIDEWAY_REQUIRE_SERVICES'] === '1') {
    throw new Error(`${name} was not found, and TIDEWAY_REQUIRE_SERVICES=1 forbids to skip.`);
  }
  t.skip(`${name} was not found`);
  return false;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
