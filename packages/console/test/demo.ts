/** Starts the real demo and a real browser for a test, ends both, and reads the proof bar. */
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { chromium, type Browser, type Page } from 'playwright-core';

const main = fileURLToPath(new URL('../../server/src/cli/main.ts', import.meta.url));
/** The pages may have to be built first, beside other tests. */
const STARTED_MS = 180_000;
/** A browser, a demo and what else the machine does: longer than anything here takes. */
export const PATIENT_MS = 90_000;

export interface Demo {
  readonly url: string;
  /** The server behind the pages. */
  readonly server: string;
  stop(): Promise<void>;
}

export const GREEN = /Written = stored = seen\. 0 gaps, 0 duplicates/;
export const NOTHING_LOST = /Nothing lost: [\d,]+ waiting records stored once, 0 gaps, 0 duplicates, back in [\d.]+ s/;

/** @param flags behind `tideway demo --port 0 --json` */
export async function startDemo(
  flags: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Promise<Demo> {
  const child: ChildProcess = spawn(
    process.execPath,
    ['--conditions=tideway-source', main, 'demo', '--port', '0', '--json', ...flags],
    { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, ...env } },
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
export async function untilText(page: Page, selector: string, pattern: RegExp): Promise<string> {
  const handle = await page.waitForFunction(
    ([where, source, flags]) => {
      const text = document.querySelector(where)?.textContent ?? '';
      return new RegExp(source, flags).test(text) ? text : undefined;
    },
    [selector, pattern.source, pattern.flags] as const,
    { timeout: PATIENT_MS },
  );
  return (await handle.jsonValue()) ?? '';
}

/** Waits until the bar shows that everything written was stored and seen by all, in one order. */
export async function assertWhole(page: Page): Promise<void> {
  // Colour and figures of one moment: while records flow the bar may say soon that it catches up again.
  const found = await page.waitForFunction(() => {
    if (document.querySelector('#proof')?.getAttribute('data-tone') !== 'good') return undefined;
    const all = [...document.querySelectorAll('#sums dd')];
    return Object.fromEntries(all.map((one) => [one.id, (one.textContent ?? '').replaceAll(',', '')]));
  });
  const sums = (await found.jsonValue()) ?? {};
  const whole = JSON.stringify(sums);
  assert.ok(Number(sums['sum-written']) > 0, whole);
  for (const id of ['sum-stored', 'sum-seen-0', 'sum-seen-1', 'sum-seen-2']) {
    assert.equal(sums[id], sums['sum-written'], whole);
  }
  assert.deepEqual([sums['sum-gaps'], sums['sum-duplicates']], ['0', '0'], whole);
  assert.match(sums['sum-orders'] ?? '', /^([0-9a-f]{8}) = \1 = \1$/);
}
