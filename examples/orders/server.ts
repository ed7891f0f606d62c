/** Orders: takes them from the page and appends them. Starts the other two services, and Redis where there is none. */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { build } from 'esbuild';
import { createKey, createServer } from 'tideway';
import { shop } from './contract.ts';
import { keepRunning, startRedis } from './programs.ts';

const page = readFileSync(join(import.meta.dirname, 'index.html'));
const { outputFiles } = await build({
  entryPoints: [join(import.meta.dirname, 'client.ts')],
  bundle: true,
  format: 'esm',
  write: false,
  conditions: ['tideway-source'],
});

const redis = process.env['REDIS_URL'] ?? (await startRedis());
const { key, sha256 } = createKey();
const watched = { subscribe: 'anyone', history: 'anyone', append: 'key' } as const;
const server = await createServer({
  contract: shop,
  log: `${redis}/shop?partitions=4`,
  auth: { keys: [{ name: 'notifications', sha256 }] },
  namespaces: {
    order: watched,
    notice: watched,
    dead: watched,
    group: { ...watched, subscribe: 'key', history: 'key' },
  },
});

async function take(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { customer, item } = Object.fromEntries(new URL(request.url ?? '', 'http://shop').searchParams);
  if (customer === undefined || item === undefined) return void response.writeHead(400).end('whose, and what?');
  const order = randomUUID().slice(0, 8);
  await server.channel('order:{customer}', { customer }).append({ order, item, state: 'placed' }, { rid: order });
  response.writeHead(201).end(order);
}

const { port, url } = await server.listen({
  port: Number(process.env['PORT'] ?? 3000),
  fallback: (request, response) => {
    if (request.url === '/') response.setHeader('Content-Type', 'text/html; charset=utf-8').end(page);
    else if (request.url === '/client.js')
      response.setHeader('Content-Type', 'text/javascript').end(outputFiles[0]?.contents);
    else if (request.method === 'POST' && request.url?.startsWith('/orders?') === true)
      take(request, response).catch((error: Error) => response.writeHead(503).end(error.message));
    else response.writeHead(404).end();
  },
});

const programs = [
  keepRunning({ name: 'stock', command: [process.env['PYTHON'] ?? 'python3', 'stock.py', redis, 'shop'] }),
  keepRunning({
    name: 'notifications',
    command: [process.execPath, '--conditions=tideway-source', 'notifications.ts'],
    environment: { TIDEWAY_URL: url, TIDEWAY_KEY: key },
  }),
];
console.log(`open http://localhost:${port}`);

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => {
    for (const end of programs) end();
    // What is left then is Redis, which ends with this process.
    void server.close({ drainMs: 1_000 }).then(() => process.exit());
  });
}
