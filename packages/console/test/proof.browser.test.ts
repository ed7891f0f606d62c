import assert from 'node:assert/strict';
import { exec } from 'node:child_process';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import type { Browser, Page } from 'playwright-core';
import { findChromium, requireService } from '../../../scripts/services.ts';
import { assertWhole, GREEN, NOTHING_LOST, PATIENT_MS, startBrowser, startDemo, untilText, type Demo } from './demo.ts';

const KILLS = 50;

describe('the proof page, in a real browser', () => {
  const chromium = findChromium();
  let demo: Demo;
  let browser: Browser;

  before(async () => {
    if (chromium === undefined) return;
    demo = await startDemo();
    browser = await startBrowser(chromium);
  });
  after(async () => {
    await browser?.close();
    await demo?.stop();
  });

  /** Opens the page; an error in it fails the test that closes it. */
  async function open(): Promise<{ readonly page: Page; close(): Promise<void> }> {
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
    context.setDefaultTimeout(PATIENT_MS);
    const page = await context.newPage();
    const errors: string[] = [];
    page.on('pageerror', (error) => errors.push(error.message));
    await page.goto(demo.url);
    await untilText(page, '#verdict', GREEN);
    return {
      page,
      async close() {
        await context.close();
        assert.deepEqual(errors, []);
      },
    };
  }

  /** Presses the kill button as soon as it names another process than before; returns that name. */
  async function kill(page: Page, before: string): Promise<string> {
    const found = await page.waitForFunction((old) => {
      const button = document.querySelector<HTMLButtonElement>('#kill');
      const text = button?.textContent ?? '';
      return button?.disabled === false && text.includes('pid') && text !== old ? text : undefined;
    }, before);
    await page.click('#kill');
    return (await found.jsonValue()) ?? '';
  }

  test('it moves by itself, and a word of mine takes the same way to all three readers', async (t) => {
    if (!requireService(t, 'chromium', chromium)) return;
    const { page, close } = await open();
    const before = await page.textContent('#stored');
    await page.waitForFunction((old) => document.querySelector('#stored')?.textContent !== old, before);
    await page.fill('#text', 'a word of mine');
    await page.press('#text', 'Enter');
    assert.match(await untilText(page, '#typed', /stored at/), /“a word of mine” is stored at \S+\.\S+\.\S+/);
    for (const name of ['WebSocket', 'SSE', 'plain HTTP']) {
      await untilText(page, '#events', new RegExp(`The ${name} reader sees “a word of mine”`));
    }
    await assertWhole(page);
    await close();
  });

  test('the command that the page shows proves from outside what the page says', async (t) => {
    if (!requireService(t, 'chromium', chromium)) return;
    const { page, close } = await open();
    const shown = (await page.textContent('#check')) ?? '';
    const { stdout } = await promisify(exec)(shown, { cwd: join(import.meta.dirname, '../../..') });
    assert.match(stdout, /demo:tide-\S+: \d+ records, chain unbroken, 0 gaps/);
    await close();
  });

  test('the server is killed: what is written waits, readers reconnect, and then nothing is lost', async (t) => {
    if (!requireService(t, 'chromium', chromium)) return;
    const { page, close } = await open();
    // It may be dead for half a second only.
    const dead = untilText(page, '#verdict', /The server is dead\. [1-9]\d* records? waits? here/);
    await kill(page, '');
    await dead;
    await page.fill('#text', 'typed while it is dead');
    await page.press('#text', 'Enter');
    assert.match(await untilText(page, '#verdict', /Nothing lost|Broken/), NOTHING_LOST);
    for (const name of ['WebSocket', 'SSE', 'plain HTTP']) {
      await untilText(page, '#events', new RegExp(`The ${name} reader sees “typed while it is dead”`));
    }
    await assertWhole(page);
    await close();
  });

  test(`the kill button is pressed ${KILLS} times in a row, and the bar is green`, { timeout: 480_000 }, async (t) => {
    if (!requireService(t, 'chromium', chromium)) return;
    const { page, close } = await open();
    let victim = '';
    for (let n = 0; n < KILLS; n++) victim = await kill(page, victim);
    assert.match(await untilText(page, '#verdict', /Nothing lost|Broken/), NOTHING_LOST);
    await assertWhole(page);
    await close();
  });

  test('a cut network loses nothing, and nothing gets through while it is cut', async (t) => {
    if (!requireService(t, 'chromium', chromium)) return;
    const { page, close } = await open();
    const alone = page.waitForFunction(
      () => document.querySelectorAll('#readers .chip[data-state="reconnecting"]').length === 3,
    );
    const waiting = untilText(page, '#verdict', /Your network is cut\. [1-9]\d+ records wait here/);
    await page.click('#cut');
    await Promise.all([alone, waiting]);
    assert.match(await untilText(page, '#verdict', /Nothing lost|Broken/), NOTHING_LOST);
    await assertWhole(page);
    await close();
  });

  test('a slow reader falls behind alone, and catches up', async (t) => {
    if (!requireService(t, 'chromium', chromium)) return;
    const { page, close } = await open();
    await page.click('#slow');
    const behind = (reader: number): string => `#readers li:nth-child(${reader}) .detail:last-child`;
    await untilText(page, behind(1), /^[3-9]\d behind/);
    await untilText(page, behind(2), /^\d behind/);
    await untilText(page, behind(3), /^\d behind/);
    await page.click('#slow');
    await untilText(page, behind(1), /^\d behind/);
    await assertWhole(page);
    await close();
  });

  test('one record is taken from one reader: the bar is red, names its cursor, and stays red', async (t) => {
    if (!requireService(t, 'chromium', chromium)) return;
    const { page, close } = await open();
    await page.click('#tamper');
    const verdict = await untilText(page, '#verdict', /^Broken/);
    const events = await untilText(page, '#events', /Tampered/);
    const hidden = /the record at (\S+) was hidden/.exec(events)?.[1] ?? 'none';
    assert.ok(verdict.includes(hidden), `${verdict} · ${hidden}`);
    assert.equal(await page.getAttribute('#proof', 'data-tone'), 'bad');
    await page.waitForFunction(() => /≠/.test(document.querySelector('#sum-orders')?.textContent ?? ''));
    await page.click('#again');
    await untilText(page, '#verdict', GREEN);
    await close();
  });
});
