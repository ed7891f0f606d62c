/** Starts the programs beside the server, shows what they say, and ends them with it. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { createInterface } from 'node:readline';

export function startProgram(
  name: string,
  program: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): ChildProcess {
  const child = spawn(program, args, {
    cwd: import.meta.dirname,
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  for (const stream of [child.stdout, child.stderr]) {
    createInterface(stream).on('line', (line) => console.log(`${name.padEnd(13)} ${line}`));
  }
  child.on('error', (error) => console.log(`${name.padEnd(13)} ${error.message}`));
  child.on('exit', (code) => {
    if (code !== null && code !== 0) console.log(`${name.padEnd(13)} ended with ${code}`);
  });
  process.on('exit', () => child.kill('SIGTERM'));
  return child;
}

/** Starts redis-server on a free port; it keeps its data beside the server's. */
export async function startRedis(): Promise<string> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  const folder = 'tideway-data/redis';
  mkdirSync(folder, { recursive: true });
  const settings = ['--bind', '127.0.0.1', '--port', String(port), '--dir', folder, '--appendonly', 'yes'];
  const redis = spawn('redis-server', settings, { stdio: ['ignore', 'pipe', 'inherit'] });
  process.on('exit', () => redis.kill('SIGTERM'));
  await new Promise<void>((resolve, reject) => {
    redis.once('error', () => reject(new Error('this example needs redis-server, or REDIS_URL')));
    redis.once('exit', (code) => reject(new Error(`redis-server ended with ${code}`)));
    createInterface(redis.stdout).on('line', (line) => {
      if (line.includes('Ready to accept connections')) resolve();
    });
  });
  return `redis://127.0.0.1:${port}`;
}
