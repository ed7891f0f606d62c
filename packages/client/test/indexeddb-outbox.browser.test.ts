/**
 * The outbox in a real browser's IndexedDB: reloads, several tabs, tabs that die.
 */
import assert from 'node:assert/strict';
import { createServer as createHttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import { build } from 'esbuild';
import { chromium, type BrowserContext, type Page as Tab } from 'playwright-core';
import { createServer, type Server } from 'tideway';
import { freePort } from '@tideway/verifier/free-ports';
import { findChromium, requireService } from '../../../scripts/services.ts';
import type { Page } from './outbox-page.ts';

declare const tideway: Page;

const DEADLINE_MS = 60_000;

/** Serves the page, from another origin than the Tideway server: that one is down at times. */
async function servePage(t: TestContext): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [`${import.meta.dirname}/outbox-page.ts`],
    bundle: true,
    write: false,
    format: 'esm',
    conditions: ['tideway-source'],
  });
  const script = outputFiles[0]?.text ?? '';
  const server = createHttpServer((incoming, outgoing) => {
    const isScript = incoming.url === '/page.js';
    outgoing.setHeader('content-type', isScript ? 'text/javascript' : 'text/html');
    outgoing.end(
      isScript ? script : '<!doctype html><title>outbox</title><script type="module" src="/page.js"></script>',
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function openBrowser(t: TestContext): Promise<BrowserContext | undefined> {
  const executablePath = findChromium();
  if (!requireService(t, 'chromium', executablePath)) return undefined;
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
  t.after(() => browser.close());
  return browser.newContext();
}

/** A port that is free now; nothing listens on it until the test says so. */

async function startServer(t: TestContext, port: number, origin: string): Promise<Server> {
  const anyone = { subscribe: 'anyone', append: 'anyone', history: 'anyone' } as const;
  const server = await createServer({
    log: 'memory:',
    origins: [origin],
    namespaces: { chat: anyone },
    logger: () => {},
  });
  t.after(() => server.close({ drainMs: 0 }));
  await server.listen({ port });
  return server;
}

async function openTab(context: BrowserContext, origin: string): Promise<Tab> {
  const tab = await context.newPage();
  await tab.goto(origin);
  return tab;
}

/** Connects in the tab and appends; resolves when the outbox has the entries. */
async function appendIn(tab: Tab, port: number, data: readonly string[]): Promise<void> {
  await tab.waitForFunction(() => 'tideway' in globalThis);
  await tab.evaluate(
    async ([url, texts]) => {
      const client = tideway.connect({
        url,
        transport: 'websocket',
        outbox: tideway.indexedDbOutbox(),
        onError: () => {},
      });
      const channel = client.channel('chat:1');
      for (const text of texts) void channel.append(text);
      const isKept = async () => {
        const database = await new Promise<IDBDatabase>((resolve) => {
          const request = indexedDB.open('tideway-outbox');
          request.addEventListener('success', () => resolve(request.result));
        });
        const rows = await new Promise<{ entry: { payload: string } }[]>((resolve) => {
          const request = database.transaction('entries').objectStore('entries').getAll() as IDBRequest<
            { entry: { payload: string } }[]
          >;
          request.addEventListener('success', () => resolve(request.result));
        });
        database.close();
        const kept = rows.map(({ entry }) => entry.payload);
        return texts.every((text) => kept.includes(JSON.stringify(text)));
      };
      // A store in another tab tells of nothing: it is looked at again with each frame the page draws.
      while (!(await isKept())) await new Promise((resolve) => void requestAnimationFrame(resolve));
    },
    [`http://127.0.0.1:${port}`, data] as const,
  );
}

async function storedBy(server: Server, count: number): Promise<unknown[]> {
  const stored: unknown[] = [];
  const signal = AbortSignal.timeout(DEADLINE_MS);
  for await (const record of server.channel('chat:1').read({ from: 'oldest', onGap: 'throw', signal })) {
    stored.push(record.data);
    if (stored.length === count) break;
  }
  return stored;
}

test('what was typed offline outlives reloads, and is sent once, in order', async (t) => {
  const context = await openBrowser(t);
  if (context === undefined) return;
  const origin = await servePage(t);
  const port = await freePort();
  const tab = await openTab(context, origin);
  await appendIn(tab, port, ['a', 'b']);
  await tab.reload();
  await appendIn(tab, port, ['c']);
  await tab.reload();
  await appendIn(tab, port, ['d']);
  const server = await startServer(t, port, origin);
  assert.deepEqual(await storedBy(server, 4), ['a', 'b', 'c', 'd']);
});

test('each tab sends what is its own, and a tab that dies leaves its entries to another', async (t) => {
  const context = await openBrowser(t);
  if (context === undefined) return;
  const origin = await servePage(t);
  const port = await freePort();
  const lives = await openTab(context, origin);
  await appendIn(lives, port, ['first']);
  const dies = await openTab(context, origin);
  await appendIn(dies, port, ['left 1', 'left 2']);
  await dies.close();
  const server = await startServer(t, port, origin);
  const stored = await storedBy(server, 3);
  assert.deepEqual(new Set(stored), new Set(['first', 'left 1', 'left 2']));
  assert.ok(stored.indexOf('left 1') < stored.indexOf('left 2'));
  // Nothing is left, and nothing comes again.
  await lives.reload();
  await appendIn(lives, port, []);
  await server.channel('chat:1').append('end');
  assert.deepEqual((await storedBy(server, 4)).at(-1), 'end');
});
