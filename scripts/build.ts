/**
 * npm run build: what is published. The packages are compiled in the order in which they import each other; the pages
 * of the console are built into the server package, which serves them.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const packages = ['protocol', 'client', 'verifier', 'server'];

for (const name of packages) {
  rmSync(join(root, 'packages', name, 'dist'), { recursive: true, force: true });
  runTool('typescript/bin/tsc', ['-p', join('packages', name, 'tsconfig.build.json')], root);
  console.log(`built packages/${name}/dist`);
}

const consolePackage = join(root, 'packages/console');
if (existsSync(join(consolePackage, 'index.html'))) {
  const pages = '../server/dist/pages';
  runTool('vite/bin/vite.js', ['build', '--outDir', pages, '--emptyOutDir'], consolePackage);
  console.log('built packages/server/dist/pages');
}

/** Runs a tool of node_modules on this Node; what it says goes to the terminal, and its failure ends the build. */
function runTool(script: string, args: readonly string[], cwd: string): void {
  const { status } = spawnSync(process.execPath, [join(root, 'node_modules', script), ...args], {
    cwd,
    stdio: 'inherit',
  });
  if (status !== 0) process.exit(status ?? 1);
}
