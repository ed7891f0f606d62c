/** Compiles the C programs of this folder into bench/out, once for each state of their sources. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';

const here = import.meta.dirname;

/** Where the bench puts what it makes: programs, data folders of servers. */
export const outFolder = join(here, '..', 'out');

export type CProgram = 'receiver' | 'appender' | 'fan-out-sender';

/** Why the C programs cannot be had on this machine; `undefined` when they can. */
export function missingCompiler(): string | undefined {
  if (process.platform !== 'linux') return 'the C programs use epoll, which only Linux has';
  try {
    execFileSync('gcc', ['--version'], { stdio: 'ignore' });
    return undefined;
  } catch {
    return 'gcc was not found: install it to run this';
  }
}

export function compilerVersion(): string {
  return execFileSync('gcc', ['-dumpfullversion'], { encoding: 'utf8' }).trim();
}

/**
 * The path of the compiled program.
 *
 * @throws an Error with the compiler's words when it does not compile
 */
export function compile(program: CProgram): string {
  const target = join(outFolder, program);
  if (existsSync(target) && statSync(target).mtimeMs > newestSourceMs()) return target;
  mkdirSync(outFolder, { recursive: true });
  // A name of our own first: two benches, or two tests, may compile at the same time.
  const made = `${target}.${process.pid}`;
  const flags = ['-O2', '-Wall', '-Wextra', '-Werror'];
  execFileSync('gcc', [...flags, '-o', made, join(here, `${program}.c`)], { stdio: ['ignore', 'ignore', 'pipe'] });
  renameSync(made, target);
  return target;
}

function newestSourceMs(): number {
  const sources = readdirSync(here).filter((name) => /\.[ch]$/.test(name));
  return Math.max(...sources.map((name) => statSync(join(here, name)).mtimeMs));
}
