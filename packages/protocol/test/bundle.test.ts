/** The package in a browser: no Node, nothing done at import, and small. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

const resolveDir = join(import.meta.dirname, '..', 'src');

async function bundle(contents: string): Promise<{ readonly text: string; readonly gzipBytes: number }> {
  const result = await build({
    stdin: { contents, resolveDir, loader: 'ts' },
    bundle: true,
    write: false,
    minify: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    conditions: ['tideway-source'],
  });
  const text = result.outputFiles[0]?.text ?? '';
  return { text, gzipBytes: gzipSync(text, { level: 9 }).length };
}

test('the whole package bundles for a browser', async (t) => {
  const { text, gzipBytes } = await bundle(`export * from './index.ts';`);
  t.diagnostic(`whole package: ${text.length} bytes minified, ${gzipBytes} with gzip`);
  assert.doesNotMatch(text, /\b(process|Buffer|require)\b/);
  assert.ok(gzipBytes < 8 * 1024, `${gzipBytes} bytes`);
});

test('importing it without using it leaves nothing', async () => {
  assert.equal((await bundle(`import './index.ts';`)).text.trim(), '');
  assert.equal((await bundle(`import { limits } from './index.ts'; if (false) console.log(limits);`)).text.trim(), '');
});

test('what a client uses costs at most a quarter of the budget of 12 KiB', async (t) => {
  const used = [
    'codeOfClose',
    'codes',
    'decodeServerHeader',
    'encodeClientHeader',
    'fillPattern',
    'isFinalClose',
    'judge',
    'limits',
    'splitBytes',
    'splitText',
    'TidewayError',
    'timing',
  ];
  const { text, gzipBytes } = await bundle(`export { ${used.join(', ')} } from './index.ts';`);
  t.diagnostic(`a client's part: ${text.length} bytes minified, ${gzipBytes} with gzip`);
  assert.ok(gzipBytes <= 3 * 1024, `${gzipBytes} bytes`);
  assert.doesNotMatch(text, /unknown op|printable ASCII/, 'the reader of client frames is not part of a client');
});
