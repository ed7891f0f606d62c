import assert from 'node:assert/strict';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { chromium, type Page } from 'playwright-core';
import { findChromium, requireService } from '../services.ts';
import { Program, projectFolder } from './programs.ts';

const root = join(import.meta.dirname, '../..');

function until(page: Page, expected: readonly string[]): Promise<unknown> {
  return page.waitForFunction(
    (wanted) => {
      const lines = [...document.querySelectorAll<HTMLElement>('#lines li')];
      const isStored = lines.every(({ style }) => style.color === '');
      return isStored && JSON.stringify(lines.map(({ textContent }) => textContent)) === wanted;
    },
    JSON.stringify(expected),
    { timeout: 120_000 },
  );
}

async function say(page: Page, text: string): Promise<void> {
  await page.fill('#text', text);
  await page.press('#text', 'Enter');
}

test('the chat of the guide: two browsers talk, see each other type, and lose nothing while the server is dead', async (t) => {
  const executablePath = findChromium();
  if (!requireService(t, 'chromium', executablePath)) return;
  const folder = projectFolder(t);
  cpSync(join(root, 'examples/chat'), folder, {
    recursive: true,
    filter: (path) => !/node_modules|tideway-data/.test(path),
  });
  const start = async (port: string): Promise<{ program: Program; port: string }> => {
    const program = new Program(t, folder, ['server.ts'], { PORT: port });
    const [, found = ''] = await program.says(/open http:\/\/localhost:(\d+)/);
    return { program, port: found };
  };
  const { program, port } = await start('0');

  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] });
  t.after(() => browser.close());
  const errors: string[] = [];
  const open = async (name: string): Promise<Page> => {
    const page = await (await browser.newContext()).newPage();
    page.on('pageerror', (error) => errors.push(error.message));
    await page.goto(`http://localhost:${port}/`);
    await page.waitForFunction(() => document.getElementById('state')?.textContent === 'live');
    await page.fill('#name', name);
    return page;
  };
  const ann = await open('ann');
  const bob = await open('bob');

  await say(ann, 'hello');
  await until(bob, ['ann: hello']);
  await ann.type('#text', 'h');
  await bob.waitForFunction(() => document.getElementById('typing')?.textContent === 'ann is typing …');

  await program.kill('SIGKILL');
  await bob.waitForFunction(() => document.getElementById('state')?.textContent !== 'live');
  await say(bob, 'are you there?');
  const again = await start(port);
  await until(ann, ['ann: hello', 'bob: are you there?']);
  await until(bob, ['ann: hello', 'bob: are you there?']);

  await ann.reload();
  await until(ann, ['ann: hello', 'bob: are you there?']);
  const shots = process.env['TIDEWAY_SCREENSHOTS'];
  if (shots !== undefined) await ann.screenshot({ path: join(shots, 'chat.png') });
  assert.deepEqual(errors, []);
  await browser.close();
  assert.equal(await again.program.kill('SIGTERM'), 0);
});
