import assert from 'node:assert/strict';
import { dirname, delimiter } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import type { Broker } from '../../../scripts/brokers/broker.ts';
import { findNatsServer } from '../../../scripts/brokers/nats-program.ts';
import { nats } from '../../../scripts/brokers/nats.ts';
import { redis } from '../../../scripts/brokers/redis.ts';
import { findChromium, requireService } from '../../../scripts/services.ts';
import { assertWhole, GREEN, NOTHING_LOST, PATIENT_MS, startBrowser, startDemo, untilText, type Demo } from './demo.ts';
import { findFlaws } from './flaws.ts';

const READERS = ['WebSocket', 'SSE', 'plain HTTP'];
const OPTIONS = { timeout: 400_000 };
/** A current nats-server where one was built, before any other in the PATH. */
const environment = {
  PATH: [dirname(findNatsServer() ?? ''), process.env['PATH']].join(delimiter),
};

interface World {
  readonly title: string;
  readonly missing: string | undefined;
  /** Resolves with what follows `--log`. */
  readonly start: () => Promise<{ readonly log: string; readonly broker?: Broker }>;
  readonly gone: RegExp;
}

const worlds: readonly World[] = [
  {
    title: 'Redis, started by the demo',
    missing: redis.missing(),
    start: () => Promise.resolve({ log: 'redis:' }),
    gone: /The broker is dead\. [1-9]\d* records? waits? here/,
  },
  {
    title: 'NATS, started by the demo',
    missing: nats.missing(),
    start: () => Promise.resolve({ log: 'nats:' }),
    gone: /The broker is dead\. [1-9]\d* records? waits? here/,
  },
  {
    title: 'a Redis of somebody else',
    missing: redis.missing(),
    async start() {
      const broker = await redis.start();
      return { log: broker.url, broker };
    },
    gone: /The broker is cut off\. [1-9]\d* records? waits? here/,
  },
];

for (const { title, missing, start, gone } of worlds) {
  describe(`the proof page, three nodes on ${title}`, OPTIONS, () => {
    const chromium = missing === undefined ? findChromium() : undefined;
    let demo: Demo;
    let browser: Browser;
    let broker: Broker | undefined;

    before(async () => {
      if (chromium === undefined) return;
      const started = await start();
      ({ broker } = started);
      demo = await startDemo(['--nodes', '3', '--log', started.log], environment);
      browser = await startBrowser(chromium);
    });
    after(async () => {
      await browser?.close();
      await demo?.stop();
      await broker?.stop();
    });

    async function open(options: Parameters<Browser['newContext']>[0] = {}): Promise<Page> {
      const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
      context.setDefaultTimeout(PATIENT_MS);
      const page = await context.newPage();
      page.on('pageerror', (error) => assert.fail(error.message));
      await page.goto(demo.url);
      await untilText(page, '#verdict', GREEN);
      return page;
    }

    /** The node of a reader, once it is one that may be. */
    async function nodeOf(page: Page, reader: string, not?: number): Promise<number> {
      const row = `#readers li:nth-child(${READERS.indexOf(reader) + 1}) .where`;
      const text = await untilText(page, row, not === undefined ? /on node \d/ : new RegExp(`on node [^${not}]`));
      return Number(text.at(-1));
    }

    const chip = (n: number): string => `#nodes li:nth-child(${n}) .chip`;

    test(
      'nodes die and pause, the broker goes and comes back: readers move, and nothing is lost',
      OPTIONS,
      async (t) => {
        if (!requireService(t, missing ?? 'chromium', chromium)) return;
        const page = await open();

        const killed = await nodeOf(page, 'WebSocket');
        await page.click(`#kill-${killed}`);
        await untilText(page, '#events', new RegExp(`Node ${killed} is dead: kill -9`));
        await nodeOf(page, 'WebSocket', killed);
        assert.match(await untilText(page, '#verdict', /Nothing lost|Broken/), NOTHING_LOST);
        await untilText(page, chip(killed), /^up$/);
        await assertWhole(page);

        const paused = await nodeOf(page, 'SSE');
        await page.click(`#pause-${paused}`);
        await untilText(page, chip(paused), /paused/);
        await nodeOf(page, 'SSE', paused);
        await untilText(page, '#verdict', new RegExp(`^Node ${paused} is paused; the rest serves`));
        await page.click(`#pause-${paused}`);
        assert.match(await untilText(page, '#verdict', /Nothing lost|Broken/), NOTHING_LOST);
        await untilText(page, '#events', new RegExp(`Node ${paused} goes on where it was paused`));
        await assertWhole(page);

        await page.click('#broker');
        await untilText(page, '#verdict', gone);
        for (const n of [1, 2, 3]) await untilText(page, chip(n), /log down/);
        await page.fill('#text', 'typed without a broker');
        await page.press('#text', 'Enter');
        await page.click('#broker');
        assert.match(await untilText(page, '#verdict', /Nothing lost|Broken/), NOTHING_LOST);
        for (const reader of READERS) {
          await untilText(page, '#events', new RegExp(`The ${reader} reader sees “typed without a broker”`));
        }
        for (const n of [1, 2, 3]) await untilText(page, chip(n), /^up$/);
        await assertWhole(page);

        await page.reload();
        await untilText(page, '#verdict', GREEN);
        await untilText(page, '#server-state', /^3 nodes up$/);
        await assertWhole(page);
        await page.context().close();
      },
    );

    test('a reader slowed down is found on whichever node it is', OPTIONS, async (t) => {
      if (!requireService(t, missing ?? 'chromium', chromium)) return;
      const page = await open();
      const behind = '#readers li:nth-child(1) .detail:last-child';
      await page.click('#slow');
      await untilText(page, behind, /^[3-9]\d behind/);
      await page.click('#slow');
      await untilText(page, behind, /^\d behind/);
      await assertWhole(page);
      await page.context().close();
    });

    for (const colorScheme of ['light', 'dark'] as const) {
      test(`it fits a phone and can be worked by all, ${colorScheme}`, OPTIONS, async (t) => {
        if (!requireService(t, missing ?? 'chromium', chromium)) return;
        const page = await open({ viewport: { width: 390, height: 844 }, colorScheme, reducedMotion: 'reduce' });
        assert.deepEqual(await page.evaluate(findFlaws), []);
        const reached = new Set<string>();
        for (let n = 0; n < 30; n++) {
          await page.keyboard.press('Tab');
          reached.add(await page.evaluate(() => document.activeElement?.id ?? ''));
        }
        for (const id of ['kill-1', 'pause-3', 'broker', 'tamper']) assert.ok(reached.has(id), id);
        await page.context().close();
      });
    }
  });
}
