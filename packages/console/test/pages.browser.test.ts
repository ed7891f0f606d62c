import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { findChromium, requireService } from '../../../scripts/services.ts';
import { startBrowser, startDemo, untilText, type Demo } from './demo.ts';

const KILLS = 50;

describe('the pages of the demo, in a real browser', () => {
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

  async function open(path: string): Promise<Page> {
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
    const page = await context.newPage();
    const errors: string[] = [];
    page.on('pageerror', (error) => errors.push(error.message));
    await page.goto(demo.url + path);
    page.on('close', () => assert.deepEqual(errors, []));
    return page;
  }

  test('home moves by itself, and the proof is green', async (t) => {
    if (!requireService(t, 'chromium', chromium)) return;
    const page = await open('/');
    await untilText(page, '#verdict', /Written = stored = seen, 0 gaps, 0 duplicates/);
    assert.equal(await page.getAttribute('#proof', 'data-state'), 'good');
    await page.fill('#text', 'a word of mine');
    await page.press('#text', 'Enter');
    assert.match(await untilText(page, '#typed', /a word of mine/), /is at \S+\.\S+\.\S+/);
    await page.context().close();
  });

  test(`the kill button is pressed ${KILLS} times in a row, and nothing is lost`, async (t) => {
    if (!requireService(t, 'chromium', chromium)) return;
    const page = await open('/');
    await untilText(page, '#verdict', /Written = stored = seen/);
    let pid = '';
    for (let n = 0; n < KILLS; n++) {
      // The button names the process it kills; after each death another one.
      const text = await untilText(page, '#kill:enabled', /pid \d+/);
      if (text === pid) {
        n--;
        await page.waitForFunction((old) => document.querySelector('#kill')?.textContent !== old, pid);
        continue;
      }
      pid = text;
      await page.click('#kill');
    }
    await untilText(page, '#kill:enabled', /pid \d+/);
    const verdict = await untilText(page, '#verdict', /Nothing lost|Broken/, 60_000);
    assert.match(verdict, /Nothing lost: \d+ waiting records stored once, 0 gaps, 0 duplicates/);
    const sums = await untilText(page, '#sums', /order ([0-9a-f]{8}) = \1 = \1/);
    const [, written, stored, ...seen] = /written (\d+) · stored (\d+) · seen (\d+) \/ (\d+) \/ (\d+)/.exec(sums) ?? [];
    assert.ok(Number(written) > 100, sums);
    for (const count of [stored, ...seen]) assert.equal(count, written, sums);
    await page.context().close();
  });

  test('a cut network and a slowed reader lose nothing; a tampered record turns the bar red and is named', async (t) => {
    if (!requireService(t, 'chromium', chromium)) return;
    const page = await open('/');
    await untilText(page, '#verdict', /Written = stored = seen/);
    await page.click('#cut');
    await untilText(page, '#events', /Your network is back/);
    await page.click('#slow');
    await untilText(page, '#readers', /[1-9]\d+ behind/);
    await page.click('#slow');
    await untilText(page, '#sums', /order ([0-9a-f]{8}) = \1 = \1/);
    await page.click('#tamper');
    const verdict = await untilText(page, '#verdict', /Broken/);
    const dropped = /the record at (\S+) was taken away/.exec(await untilText(page, '#events', /Tampered/))?.[1];
    assert.equal(await page.getAttribute('#proof', 'data-state'), 'bad');
    assert.ok(dropped !== undefined && verdict.includes(dropped.slice(0, 6)), `${verdict} · ${dropped}`);
    await page.context().close();
  });

  test('two windows chat; what is typed offline is sent later, once, in one order', async (t) => {
    if (!requireService(t, 'chromium', chromium)) return;
    const [ann, bob] = [await open('/chat.html'), await open('/chat.html')];
    await untilText(ann, '#state', /live/);
    await untilText(bob, '#state', /live/);
    const say = async (page: Page, text: string): Promise<void> => {
      await page.fill('#text', text);
      await page.press('#text', 'Enter');
    };
    await say(ann, 'first');
    await untilText(bob, '#messages', /first/);
    await bob.locator('#text').pressSequentially('typ');
    await untilText(ann, '#typing', /is typing/);
    await bob.fill('#text', '');
    await ann.click('#offline');
    await untilText(ann, '#state', /offline/);
    await say(ann, 'typed offline');
    await say(bob, 'meanwhile');
    await ann.click('#offline');
    await untilText(bob, '#messages', /typed offline/);
    await untilText(ann, '#messages', /meanwhile/);
    const lines = (page: Page): Promise<string[]> =>
      page.locator('.message:not(.waiting) > div:last-child').allTextContents();
    await ann.waitForFunction(() => document.querySelectorAll('.message.waiting').length === 0);
    assert.deepEqual(await lines(ann), await lines(bob));
    assert.equal((await lines(bob)).filter((line) => line === 'typed offline').length, 1);
    await ann.context().close();
    await bob.context().close();
  });

  test('history comes when one scrolls up', async (t) => {
    if (!requireService(t, 'chromium', chromium)) return;
    const items = Array.from({ length: 120 }, (_, n) => ({
      channel: 'chat:lobby',
      data: { name: 'ann', text: `line ${n}` },
    }));
    const response = await fetch(`${demo.server}/v1/batch`, { method: 'POST', body: JSON.stringify(items) });
    assert.equal(response.status, 200);
    const page = await open('/chat.html');
    await untilText(page, '#messages', /line 119/);
    assert.ok((await page.locator('.message').count()) <= 40, 'only the newest are read at first');
    await page.waitForFunction(() => {
      const list = document.querySelector('#messages') as HTMLElement;
      list.scrollTo(0, list.scrollTop > 0 ? 0 : 1);
      return [...list.querySelectorAll('.message')].some((one) => one.lastElementChild?.textContent === 'line 3');
    });
    const lines = (await page.locator('.message > div:last-child').allTextContents()).filter((line) =>
      line.startsWith('line '),
    );
    assert.deepEqual(
      lines,
      lines.toSorted((a, b) => Number(a.slice(5)) - Number(b.slice(5))),
    );
    await page.context().close();
  });

  test('the ticker moves over SSE and says what is recorded; vitals draw', async (t) => {
    if (!requireService(t, 'chromium', chromium)) return;
    const ticker = await open('/ticker.html');
    await untilText(ticker, '#rows', /S&P 500/);
    const before = await ticker.textContent('#count');
    await ticker.waitForFunction((old) => document.querySelector('#count')?.textContent !== old, before);
    assert.equal(await ticker.textContent('#source'), 'recorded');
    await ticker.context().close();
    const vitals = await open('/vitals.html');
    await untilText(vitals, '#figures', /sessions\s*\d/i);
    await vitals.waitForSelector('#charts canvas');
    await vitals.context().close();
  });

  test('every page fits a phone, names its controls, and works by keyboard', async (t) => {
    if (!requireService(t, 'chromium', chromium)) return;
    const context = await browser.newContext({ viewport: { width: 390, height: 844 }, colorScheme: 'dark' });
    for (const path of ['/', '/chat.html', '/ticker.html', '/vitals.html']) {
      const page = await context.newPage();
      await page.goto(demo.url + path);
      await page.waitForSelector('h1');
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      assert.ok(overflow <= 0, `${path} is ${overflow} px too wide`);
      const nameless = await page.evaluate(() =>
        [...document.querySelectorAll('button, input, a')]
          .filter((one) => {
            const labels = one instanceof HTMLInputElement ? (one.labels?.length ?? 0) : 0;
            return labels === 0 && (one.textContent ?? '').trim() === '' && one.getAttribute('aria-label') === null;
          })
          .map((one) => one.outerHTML),
      );
      assert.deepEqual(nameless, [], path);
      await page.keyboard.press('Tab');
      assert.equal(await page.evaluate(() => document.activeElement?.tagName), 'A');
      await page.close();
    }
    await context.close();
  });
});
