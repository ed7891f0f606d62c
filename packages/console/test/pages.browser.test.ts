import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { findChromium, requireService } from '../../../scripts/services.ts';
import { PATIENT_MS, startBrowser, startDemo, untilText, type Demo } from './demo.ts';
import { findFlaws } from './flaws.ts';

const PATHS = ['/', '/chat.html', '/ticker.html', '/vitals.html'];

describe('the other pages of the demo, in a real browser', () => {
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

  /** Each in a context of its own: tabs of one context could agree behind the server's back. */
  async function open(
    path: string,
    options: BrowserContextOptions = { viewport: { width: 1280, height: 900 } },
  ): Promise<Page> {
    const context = await browser.newContext(options);
    context.setDefaultTimeout(PATIENT_MS);
    const page = await context.newPage();
    const errors: string[] = [];
    page.on('pageerror', (error) => errors.push(error.message));
    page.on('close', () => assert.deepEqual(errors, []));
    await page.goto(demo.url + path);
    return page;
  }

  async function say(page: Page, text: string): Promise<void> {
    await page.fill('#text', text);
    await page.press('#text', 'Enter');
  }

  function lines(page: Page): Promise<string[]> {
    return page.locator('.message:not(.waiting) .text').allTextContents();
  }

  /** Kills it and waits for what shows that; it may be dead for half a second only. */
  async function killServer(shown: Promise<unknown>): Promise<void> {
    const { secret } = (await (await fetch(`${demo.url}/demo/config`)).json()) as { readonly secret: string };
    const headers = { 'X-Demo-Secret': secret };
    const response = await fetch(`${demo.url}/demo/nodes/1/kill`, { method: 'POST', headers });
    assert.equal(response.status, 200);
    await shown;
  }

  test('two windows chat; what is typed offline waits, is sent later, once, and stands in one order', async (t) => {
    if (!requireService(t, 'chromium', chromium)) return;
    const [ann, bob] = [await open('/chat.html'), await open('/chat.html')];
    await ann.fill('#name', 'Ann');
    await untilText(ann, '#state', /live/);
    await untilText(bob, '#state', /live/);
    await say(ann, 'first');
    await untilText(bob, '#messages', /first/);
    await ann.locator('#text').pressSequentially('typ');
    await untilText(bob, '#typing', /Ann is typing/);
    await ann.click('#offline');
    await untilText(ann, '#state', /offline/);
    await say(ann, 'typed offline');
    await untilText(ann, '.message.waiting', /typed offline.*waiting to be sent/);
    await say(bob, 'meanwhile');
    await untilText(bob, '#messages', /meanwhile/);
    assert.deepEqual(await lines(ann), ['first'], 'nothing gets through while it is offline');
    await ann.click('#offline');
    await untilText(bob, '#messages', /typed offline/);
    await untilText(ann, '#messages', /meanwhile/);
    await untilText(ann, '#state', /live/);
    await ann.waitForFunction(() => document.querySelector('.message.waiting') === null);
    assert.deepEqual(await lines(ann), ['first', 'meanwhile', 'typed offline']);
    assert.deepEqual(await lines(bob), await lines(ann));
    await ann.context().close();
    await bob.context().close();
  });

  test('a line written while the server is dead is there once it is back', async (t) => {
    if (!requireService(t, 'chromium', chromium)) return;
    const [ann, bob] = [await open('/chat.html'), await open('/chat.html')];
    await untilText(ann, '#state', /live/);
    await untilText(bob, '#state', /live/);
    await killServer(untilText(ann, '#state', /offline/));
    await say(ann, 'said to nobody');
    await untilText(bob, '#messages', /said to nobody/);
    await ann.waitForFunction(() => document.querySelector('.message.waiting') === null);
    assert.equal((await lines(ann)).filter((line) => line === 'said to nobody').length, 1);
    await ann.context().close();
    await bob.context().close();
  });

  test('the second window beside the first has a name of its own and follows the same channel', async (t) => {
    if (!requireService(t, 'chromium', chromium)) return;
    const page = await open('/chat.html');
    // Whatever chance would give to both.
    await page.addInitScript(() => (Math.random = () => 0));
    await page.evaluate(() => sessionStorage.clear());
    await page.reload();
    await untilText(page, '#state', /live/);
    const name = await page.inputValue('#name');
    await page.click('#beside');
    const pane = page.frameLocator('iframe');
    await pane.locator('#text').fill('from beside');
    await pane.locator('#text').press('Enter');
    await untilText(page, '#messages', /from beside/);
    assert.notEqual(await pane.locator('#name').inputValue(), name);
    await page.click('#beside');
    assert.equal(await page.locator('iframe').count(), 0);
    await page.context().close();
  });

  test('history comes when one scrolls up, whole and in order, and what is read stays in sight', async (t) => {
    if (!requireService(t, 'chromium', chromium)) return;
    const items = Array.from({ length: 120 }, (_, n) => ({
      channel: 'chat:lobby',
      data: { name: 'ann', text: `line ${n}.` },
    }));
    const response = await fetch(`${demo.server}/v1/batch`, { method: 'POST', body: JSON.stringify(items) });
    assert.equal(response.status, 200);
    const page = await open('/chat.html');
    await untilText(page, '#messages', /line 119\./);
    assert.doesNotMatch((await page.textContent('#messages')) ?? '', /line 3\./);
    await page.evaluate(() => {
      const list = document.querySelector<HTMLElement>('#messages');
      if (list === null) return;
      new MutationObserver(() => {
        list.dataset['moved'] = String(list.scrollHeight - list.scrollTop - Number(list.dataset['toEnd']));
      }).observe(list, { childList: true });
    });
    // Each time the top is reached another page comes.
    const moved = await page.waitForFunction(() => {
      const list = document.querySelector<HTMLElement>('#messages');
      if (list === null) return undefined;
      if (/The beginning\./.test(list.textContent)) return list.dataset['moved'];
      list.scrollTo(0, list.scrollTop === 0 ? 1 : 0);
      list.dataset['toEnd'] = String(list.scrollHeight - list.scrollTop);
      return undefined;
    });
    assert.equal(Math.round(Number(await moved.jsonValue())), 0, 'what is read moves when the beginning is reached');
    const shown = (await lines(page)).filter((line) => line.startsWith('line '));
    assert.deepEqual(
      shown,
      items.map(({ data }) => data.text),
    );
    await page.context().close();
  });

  test('what is no message, and markup in one, harm nobody', async (t) => {
    if (!requireService(t, 'chromium', chromium)) return;
    const page = await open('/chat.html');
    await untilText(page, '#state', /live/);
    const items = [7, null, { text: 5 }, { name: 'm', text: '<img src=x onerror="document.title=1">' }];
    const body = JSON.stringify(items.map((data) => ({ channel: 'chat:lobby', data })));
    await fetch(`${demo.server}/v1/batch`, { method: 'POST', body });
    await untilText(page, '#messages', /<img src=x/);
    assert.equal(await page.locator('#messages img').count(), 0);
    await page.context().close();
  });

  test('the ticker moves over SSE, says what is recorded, and misses no price when the server dies', async (t) => {
    if (!requireService(t, 'chromium', chromium)) return;
    const page = await open('/ticker.html');
    const streams: string[] = [];
    page.on('request', (request) => streams.push(new URL(request.url()).pathname));
    page.on('websocket', () => assert.fail('the ticker opened a WebSocket'));
    await untilText(page, '#rows', /MSFT/);
    assert.equal(await page.textContent('#index-name'), 'S&P 500');
    assert.equal(await page.textContent('#source'), 'recorded');
    assert.match((await page.textContent('#about')) ?? '', /Simulated: the time/);
    await killServer(untilText(page, '#state', /offline/));
    await untilText(page, '#state', /live/);
    const before = await page.textContent('#count');
    await page.waitForFunction((old) => document.querySelector('#count')?.textContent !== old, before);
    assert.equal(await page.textContent('#gaps'), '0');
    assert.ok(streams.includes('/v1/events'), streams.join());
    await page.context().close();
  });

  test('on the narrowest phone nothing of the ticker’s table is cut off', async (t) => {
    if (!requireService(t, 'chromium', chromium)) return;
    const page = await open('/ticker.html', { viewport: { width: 320, height: 640 }, reducedMotion: 'reduce' });
    await untilText(page, '#rows', /MSFT/);
    await untilText(page, '#about', /since 2000 \(GOOG since August 2004/);
    // The longest figures that the record has.
    await page.evaluate(() => {
      for (const cell of document.querySelectorAll('#rows td:nth-child(2)')) cell.textContent = '707.00';
      for (const cell of document.querySelectorAll('#rows td:nth-child(3)')) cell.textContent = '▼ 57.74 %';
    });
    const [needed, given] = await page.evaluate(() => {
      const { scrollWidth = 0, clientWidth = 0 } = document.querySelector('.scrolls') ?? {};
      return [scrollWidth, clientWidth];
    });
    assert.ok(needed > 0 && needed <= given, `${needed} px are needed, ${given} are there`);
    assert.deepEqual(await page.evaluate(findFlaws), []);
    await page.context().close();
  });

  test('vitals draw the figures, turn stale when the server dies, and go on', async (t) => {
    if (!requireService(t, 'chromium', chromium)) return;
    const page = await open('/vitals.html');
    await untilText(page, '#tiles', /sessions\s*[1-9]/);
    await untilText(page, '#state', /live/);
    assert.equal(await page.locator('#charts canvas').count(), 4);
    await page.waitForFunction(() => {
      const canvas = document.querySelector<HTMLCanvasElement>('#charts canvas');
      const pixels = canvas?.getContext('2d')?.getImageData(0, 0, canvas.width, canvas.height).data ?? [];
      return pixels.some((value) => value > 0);
    });
    await killServer(untilText(page, '#state', /offline|stale/));
    await untilText(page, '#state', /live/);
    await untilText(page, '#tiles', /up for\s*[0-9]+ s/);
    await page.context().close();
  });

  for (const colorScheme of ['light', 'dark'] as const) {
    test(`every page fits a phone, can be read and worked by all, ${colorScheme}`, async (t) => {
      if (!requireService(t, 'chromium', chromium)) return;
      for (const path of PATHS) {
        const page = await open(path, { viewport: { width: 390, height: 844 }, colorScheme, reducedMotion: 'reduce' });
        await untilText(page, '#server-state', /server up/);
        await untilText(page, path === '/' ? '#verdict' : '#state', path === '/' ? /Written = / : /live/);
        assert.deepEqual(await page.evaluate(findFlaws), [], `${path}, ${colorScheme}`);
        await page.context().close();
      }
    });
  }

  test('the way by keyboard: skip link first, then every control, each with a visible focus', async (t) => {
    if (!requireService(t, 'chromium', chromium)) return;
    const page = await open('/');
    await untilText(page, '#verdict', /Written = /);
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate(() => document.activeElement?.textContent), 'Skip to the page');
    const reached = new Set<string>();
    for (let n = 0; n < 25; n++) {
      await page.keyboard.press('Tab');
      const { id, outline } = await page.evaluate(() => {
        const focused = document.activeElement ?? document.body;
        return { id: focused.id, outline: getComputedStyle(focused).outlineStyle };
      });
      if (id === '') continue;
      reached.add(id);
      assert.notEqual(outline, 'none', id);
    }
    for (const id of ['kill', 'cut', 'slow', 'tamper', 'text', 'bot', 'events']) assert.ok(reached.has(id), id);
    await page.context().close();
  });
});
