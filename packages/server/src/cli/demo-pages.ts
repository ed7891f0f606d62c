/**
 * The demo's pages: where they are, made with Vite from a clone when they are missing or older than their sources, and
 * served as files. Built into the package, they are just there.
 */
import { spawn } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import { dirname, extname, join, normalize, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

const TYPES: Readonly<Record<string, string>> = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.woff2': 'font/woff2',
};

/** Finds the pages, and makes them first where this is a clone whose sources are newer. Resolves with their folder. */
export async function preparePages(say: (text: string) => void): Promise<string> {
  const built = fileURLToPath(new URL('../pages', import.meta.url));
  if (newest(built) > 0) return built;
  const sources = fileURLToPath(new URL('../../../console', import.meta.url));
  const made = join(sources, 'dist');
  const others = ['client', 'protocol', 'verifier'].map((name) => join(sources, '..', name, 'src'));
  const sourceMs = Math.max(newest(sources, ['dist', 'node_modules']), ...others.map((folder) => newest(folder)));
  if (newest(made) > sourceMs) return made;
  say('building the pages …\n');
  // The pages' own tool, from their own package: the server has no need of it.
  const vite = join(
    dirname(createRequire(join(sources, 'package.json')).resolve('vite/package.json')),
    'bin',
    'vite.js',
  );
  const exitCode = await new Promise<number | null>((resolve) =>
    spawn(process.execPath, [vite, 'build', '--logLevel', 'warn'], {
      cwd: sources,
      stdio: ['ignore', 'ignore', 'inherit'],
    }).on('exit', resolve),
  );
  if (exitCode !== 0) throw new Error('the pages could not be built; see above');
  return made;
}

/** When the newest file below a folder was written; 0 where there is none. */
function newest(folder: string, without: readonly string[] = []): number {
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
    ms = Math.max(ms, entry.isDirectory() ? newest(path) : statSync(path).mtimeMs);
  }
  return ms;
}

/** Serves a file of the folder; false when there is none. Nothing outside the folder is reachable. */
export async function servePage(folder: string, path: string, response: ServerResponse): Promise<boolean> {
  let name: string;
  try {
    name = decodeURIComponent(path);
  } catch {
    return false;
  }
  const file = normalize(join(folder, name.endsWith('/') ? `${name}index.html` : name));
  if (!file.startsWith(folder + sep)) return false;
  for (const candidate of [file, `${file}.html`]) {
    try {
      const body = await readFile(candidate);
      const isHashed = candidate.includes(`${sep}assets${sep}`);
      response.writeHead(200, {
        'content-type': TYPES[extname(candidate)] ?? 'application/octet-stream',
        'content-length': body.length,
        'cache-control': isHashed ? 'public, max-age=31536000, immutable' : 'no-cache',
        'x-content-type-options': 'nosniff',
      });
      response.end(body);
      return true;
    } catch {
      continue;
    }
  }
  return false;
}
