import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { createLog, parseLogAddress } from './registry.ts';

test('a path or a file address is the embedded log in that folder', () => {
  const addresses = [
    'tideway-data',
    './tideway-data',
    resolve('tideway-data'),
    'file:tideway-data',
    'file:./tideway-data',
  ];
  for (const address of [...addresses, `file://${resolve('tideway-data')}`]) {
    assert.deepEqual(parseLogAddress(address), { driver: 'embedded', folder: resolve('tideway-data') }, address);
  }
});

test('a folder may have a colon in its name behind a slash', () => {
  assert.deepEqual(parseLogAddress('./redis:x'), { driver: 'embedded', folder: resolve('./redis:x') });
});

test('memory: is the log in memory', async () => {
  assert.deepEqual(parseLogAddress('memory:'), { driver: 'memory' });
  assert.equal((await createLog('memory:')).declares.durable, false);
});

test('the embedded log is made, not opened', async () => {
  const log = await createLog('./never-made', { embedded: { keepBytes: 1 } });
  assert.equal(log.declares.durable, true);
});

test('an unknown scheme is refused with those that are known, and without what may be a password', () => {
  assert.throws(
    () => parseLogAddress('kafkaa://user:secret@host/x'),
    (error: Error) => {
      assert.match(error.message, /unknown log scheme "kafkaa:"; known: a folder, file:FOLDER, memory:/);
      assert.doesNotMatch(error.message, /secret/);
      return true;
    },
  );
  assert.throws(() => parseLogAddress('constructor:'), /unknown log scheme/);
});

test('an address without a place where one is needed, or with one where none is, is refused', () => {
  assert.throws(() => parseLogAddress(''), /address is empty/);
  assert.throws(() => parseLogAddress('file:'), /needs a folder/);
  assert.throws(() => parseLogAddress('memory:data'), /has no place/);
});
