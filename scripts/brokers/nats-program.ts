/**
 * The nats-server that tests and demos start: the one NATS_SERVER names, else a current one that Go builds once into
 * this repository's cache, else the one in PATH (Debian's is of 2022). `node scripts/brokers/nats-program.ts` builds it.
 */
import { execFile, execFileSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { delimiter, join } from 'node:path';

const MODULE = 'github.com/nats-io/nats-server/v2@latest';
const cache = join(import.meta.dirname, '../../.cache/nats');
const cached = join(cache, 'nats-server');
const BUILD_MS = 8 * 60_000;

/** The program that is there without building one. */
export function findNatsServer(): string | undefined {
  const named = process.env['NATS_SERVER'];
  if (named !== undefined && named !== '') return isExecutable(named) ? named : undefined;
  return isExecutable(cached) ? cached : inPath('nats-server');
}

/** Builds a current one with Go, where Go is and none was built before; returns the one to start. */
export async function buildNatsServer(): Promise<string | undefined> {
  if (isExecutable(cached) || process.env['NATS_SERVER'] !== undefined || inPath('go') === undefined) {
    return findNatsServer();
  }
  // Two that build at once do not meet: each has its own folder, and a name is given at once.
  const own = join(cache, `build-${process.pid}`);
  await mkdir(own, { recursive: true });
  try {
    await new Promise<void>((resolve, reject) => {
      execFile('go', ['install', MODULE], { env: { ...process.env, GOBIN: own }, timeout: BUILD_MS }, (error) =>
        error === null ? resolve() : reject(error),
      );
    });
    await rename(join(own, 'nats-server'), cached);
  } catch (error) {
    console.warn(`no current nats-server could be built: ${error instanceof Error ? error.message : String(error)}`);
  } finally {
    await rm(own, { recursive: true, force: true });
  }
  return findNatsServer();
}

/** Its version, `2.15.2`. */
export function natsServerVersion(program: string): string {
  const text = execFileSync(program, ['--version']).toString();
  return /v(\d+\.\d+\.\d+)/.exec(text)?.[1] ?? '0.0.0';
}

function inPath(name: string): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
  return [...folders, '/usr/sbin'].map((folder) => join(folder, name)).find((path) => isExecutable(path));
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

if (import.meta.main) {
  const program = await buildNatsServer();
  console.log(
    program === undefined ? 'no nats-server, and no Go to build one' : `${program} ${natsServerVersion(program)}`,
  );
  if (program === undefined) process.exitCode = 1;
}
