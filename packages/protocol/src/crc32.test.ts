import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32 as zlibCrc32 } from 'node:zlib';
import * as fc from 'fast-check';
import { crc32 } from './crc32.ts';

test('it is the CRC-32 of gzip (CUR-4)', () => {
  assert.equal(crc32(new TextEncoder().encode('123456789')), 0xcbf43926);
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => assert.equal(crc32(bytes), zlibCrc32(bytes))));
});

test('an earlier one can be continued', () => {
  fc.assert(
    fc.property(fc.uint8Array(), fc.uint8Array(), (a, b) => {
      assert.equal(crc32(b, crc32(a)), crc32(new Uint8Array([...a, ...b])));
    }),
  );
});
