/**
 * What a page pays for the client: minified, compressed, and in a bundle that is loaded only where it is needed.
 */
import assert from 'node:assert/strict';
import { basename } from 'node:path';
import { test, type TestContext } from 'node:test';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

/** What every page loads may be no more than this, minified and compressed. */
const EAGER_BYTES_MAX = 12 * 1024;
/** The same with the fallback to SSE, for pages in networks that need it. */
const WHOLE_BYTES_MAX = 14 * 1024;

interface Part {
  readonly name: string;
  readonly bytes: number;
  readonly isEager: boolean;
}

async function bundle(t: TestContext, splitting: boolean): Promise<{ eager: number; whole: number }> {
  const { outputFiles, metafile } = await build({
    entryPoints: [`${import.meta.dirname}/../src/index.ts`],
    bundle: true,
    minify: true,
    platform: 'browser',
    format: 'esm',
    conditions: ['tideway-source'],
    splitting,
    metafile: true,
    write: false,
    outdir: 'out',
    logLevel: 'silent',
  });
  const outputs = new Map(Object.entries(metafile.outputs).map(([path, output]) => [basename(path), output]));
  const eager = new Set(['index.js']);
  // A set that grows while it is walked: what is imported by what is imported.
  for (const name of eager) {
    for (const { path, kind } of outputs.get(name)?.imports ?? []) {
      if (kind === 'import-statement') eager.add(basename(path));
    }
  }
  const parts = outputFiles.map(({ path, contents }): Part => {
    const name = basename(path);
    return { name, bytes: gzipSync(contents, { level: 9 }).length, isEager: eager.has(name) };
  });
  for (const { name, bytes, isEager } of parts) {
    t.diagnostic(`${name}: ${bytes} bytes, ${isEager ? 'loaded by every page' : 'loaded where it is needed'}`);
  }
  const sum = (some: readonly Part[]) => some.reduce((bytes, part) => bytes + part.bytes, 0);
  return { eager: sum(parts.filter((part) => part.isEager)), whole: sum(parts) };
}

test('what every page loads of the client is at most 12 KiB, and SSE comes only where it is needed', async (t) => {
  const { eager, whole } = await bundle(t, true);
  t.diagnostic(`every page: ${eager} of ${EAGER_BYTES_MAX} bytes`);
  assert.ok(eager <= EAGER_BYTES_MAX, `${eager} bytes; ${EAGER_BYTES_MAX} at most`);
  assert.ok(whole > eager, 'nothing is loaded later');
});

test('in one file the whole client is at most 14 KiB', async (t) => {
  const { whole } = await bundle(t, false);
  assert.ok(whole <= WHOLE_BYTES_MAX, `${whole} bytes; ${WHOLE_BYTES_MAX} at most`);
});
