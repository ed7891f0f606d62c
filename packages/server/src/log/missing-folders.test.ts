import assert from 'node:assert/strict';
import { mkdtempDisposable, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { makeFolder } from './missing-folders.ts';

async function temporary(t: TestContext): Promise<string> {
  const folder = await mkdtempDisposable(join(tmpdir(), 'tideway-folders-'));
  t.after(() => folder.remove());
  return folder.path;
}

test('makes a folder with those above it, and takes one that is there', async (t) => {
  const folder = await temporary(t);
  const deep = join(folder, 'a', 'b', 'c');
  await Promise.all([makeFolder(deep), makeFolder(deep), makeFolder(join(folder, 'a', 'd'))]);
  await makeFolder(deep);
  await makeFolder('/');
  assert.ok((await stat(deep)).isDirectory());
  await symlink(deep, join(folder, 'link'));
  await makeFolder(join(folder, 'link'));
});

describe('rejects', () => {
  test('a file, and what lies below one', async (t) => {
    const file = join(await temporary(t), 'file');
    await writeFile(file, '');
    await assert.rejects(makeFolder(file), { code: 'EEXIST' });
    await assert.rejects(makeFolder(join(file, 'below')), { code: 'ENOTDIR' });
  });

  test('a link that leads nowhere, and what lies below one', async (t) => {
    const link = join(await temporary(t), 'link');
    await symlink('nowhere', link);
    await assert.rejects(makeFolder(link), { code: 'EEXIST' });
    await assert.rejects(makeFolder(join(link, 'below')), { code: 'EEXIST' });
  });

  test('a folder that takes nothing', { skip: process.platform !== 'linux' && 'only Linux has /proc' }, async () => {
    await assert.rejects(makeFolder('/proc/x'), { code: 'ENOENT' });
    await assert.rejects(makeFolder('/proc/x/y'), { code: 'ENOENT' });
  });
});
