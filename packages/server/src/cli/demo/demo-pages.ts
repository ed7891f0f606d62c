/**
 * The demo's pages: where they are, made with Vite from a clone when they are missing or older than their sources, and
 * served from memory, so that nothing outside their folder is reachable. Built into the package, they are just there.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import { dirname, extname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CliError, exitCodes } from '../exit-codes.ts';

const TYPES: Readonly<Record<string, string>> = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
};

interface Page {
  readonly type: string;
  readonly body: Buffer;
  /** Its name changes with its content. */
  readonly isHashed: boolean;
}

/** By path, such as `/chat.html`. */
export type Pages = ReadonlyMap<string, Page>;

/** Finds the pages, and makes them first where this is a clone whose sources are newer. */
export async function loadPages(say: (text: string) => void): Promise<Pages> {
  const built = fileURLToPath(new URL('../../pages', import.meta.url));
  if (newestMs(built) > 0) return readPages(built);
  const sources = fileURLToPath(new URL('../../../../console', import.meta.url));
  const made = join(sources, 'dist');
  const others = ['client', 'protocol', 'verifier'].map((name) => join(sources, '..', name, 'src'));
  const sourceMs = Math.max(newestMs(sources, ['dist', 'node_modules']), ...others.map((folder) => newestMs(folder)));
  if (newestMs(made) <= sourceMs) {
    say('building the pages …');
    await buildPages(sources, made);
  }
  return readPages(made);
}

/** Builds beside the folder and then takes its place: two demos that start at once do not see half of it. */
async function buildPages(sources: string, made: string): Promise<void> {
  // The pages' own tool, from their own package: the server has no need of it.
  const tool = dirname(createRequire(join(sources, 'package.json')).resolve('vite/package.json'));
  const fresh = join(sources, 'node_modules', `.pages-${process.pid}`);
  try {
    const args = ['build', '--logLevel', 'warn', '--outDir', fresh, '--emptyOutDir'];
    const vite = spawn(process.execPath, [join(tool, 'bin', 'vite.js'), ...args], {
      cwd: sources,
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    const [exitCode] = (await once(vite, 'exit')) as [number | null];
    if (exitCode !== 0) throw new CliError(exitCodes.failed, 'the pages could not be built');
    await rm(made, { recursive: true, force: true });
    await rename(fresh, made).catch((error: NodeJS.ErrnoException) => {
      // Another one was faster, with the same pages.
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
    });
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
}

function readPages(folder: string): Pages {
  const pages = new Map<string, Page>();
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile()) continue;
    const file = join(entry.parentPath, entry.name);
    const path = `/${relative(folder, file).replaceAll(sep, '/')}`;
    const type = TYPES[extname(file)] ?? 'application/octet-stream';
    pages.set(path, { type, body: readFileSync(file), isHashed: path.startsWith('/assets/') });
  }
  return pages;
}

/** When the newest file below a folder was written; 0 where there is none. */
function newestMs(folder: string, without: readonly string[] = []): number {
  let ms = 0;
  let entries;
  try {
    entries = readdirSync(folder, { withFileTypes: true });
  } catch {
    return 0;
  }
  for (const entry of entries) {
    if (without.includes(entry.name)) continue;
    const path = join(folder, entry.name);
    ms = Math.max(ms, entry.isDirectory() ? newestMs(path) : statSync(path).mtimeMs);
  }
  return ms;
}

/** Serves the page of this path; false when there is none. */
export function servePage(pages: Pages, path: string, response: ServerResponse): boolean {
  const page = pages.get(path === '/' ? '/index.html' : path) ?? pages.get(`${path}.html`);
  if (page === undefined) return false;
  response.writeHead(200, {
    'content-type': page.type,
    'content-length': page.body.length,
    'cache-control': page.isHashed ? 'public, max-age=31536000, immutable' : 'no-cache',
    'x-content-type-options': 'nosniff',
    // No other page may put the kill button under somebody's click.
    'content-security-policy': "frame-ancestors 'self'",
  });
  response.end(page.body);
  return true;
}
