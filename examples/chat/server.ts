/** The server of the chat: its channels, and the page, on one port. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { createServer } from 'tideway';
import { chat } from './contract.ts';

const page = readFileSync(join(import.meta.dirname, 'index.html'));
const { outputFiles } = await build({
  entryPoints: [join(import.meta.dirname, 'client.ts')],
  bundle: true,
  format: 'esm',
  write: false,
  conditions: ['tideway-source'],
});

const server = await createServer({
  contract: chat,
  namespaces: { chat: { subscribe: 'anyone', append: 'anyone', signal: 'anyone', history: 'anyone' } },
});
const { port } = await server.listen({
  port: Number(process.env['PORT'] ?? 3000),
  fallback: (request, response) => {
    if (request.url === '/') response.setHeader('Content-Type', 'text/html; charset=utf-8').end(page);
    else if (request.url === '/client.js')
      response.setHeader('Content-Type', 'text/javascript').end(outputFiles[0]?.contents);
    else response.writeHead(404).end();
  },
});
console.log(`open http://localhost:${port} in two windows`);

process.once('SIGTERM', () => void server.close({ drainMs: 1_000 }));
