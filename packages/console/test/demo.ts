/** Starts the real demo and a real browser for a test, and ends both. */
import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { chromium, type Browser, type Page } from 'playwright-core';

const main = fileURLToPath(new URL('../../server/src/cli/main.ts', import.meta.url));
/** The pages may have to be built first, beside other tests. */
const STARTED_MS = 90_000;

export interface Demo {
  readonly url: string;
  /** The server behind the pages. */
  readonly server: string;
  stop(): Promise<void>;
}

export async function startDemo(): Promise<Demo> {
  const child: ChildProcess = spawn(
    process.execPath,
    ['--conditions=tideway-source', main, 'demo', '--port', '0', '--json'],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  // A run that is cut off leaves no demo behind.
  process.once('SIGTERM', () => {
    child.kill('SIGTERM');
    process.exit(1);
  });
  const ready = await new Promise<{ readonly url: string; readonly server: string }>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`the demo was not ready in ${STARTED_MS} ms`)), STARTED_MS);
    void gone.then(() => reject(new Error('the demo ended before it was ready')));
    createInterface({ input: child.stdout as NodeJS.ReadableStream }).once('line', (line) => {
      clearTimeout(timer);
      resolve(JSON.parse(line) as { readonly url: string; readonly server: string });
    });
  });
  return {
    ...ready,
    async stop() {
      child.kill('SIGTERM');
      await gone;
    },
  };
}

export async function startBrowser(executablePath: string): Promise<Browser> {
  return await chromium.launch({
    executablePath,
    args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking'],
  });
}

/** The text of an element, once it fits. */
export async function untilText(page: Page, selector: string, pattern: RegExp, timeoutMs = 30_000): Promise<string> {
  const handle = await page.waitForFunction(
    ([where, source, flags]) => {
      const text = document.querySelector(where)?.textContent ?? '';
      return new RegExp(source, flags).test(text) ? text : undefined;
    },
    [selector, pattern.source, pattern.flags] as const,
    { timeout: timeoutMs },
  );
  return (await handle.jsonValue()) ?? '';
}
