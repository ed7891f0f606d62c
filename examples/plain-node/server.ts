/** An application on Node's own server. Tideway answers its paths on the same port, all others stay the application's. */
import { readFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { createServer } from 'tideway';

// Everyone may follow the clicks. Nobody may append from outside: only this program does, in process.
const live = await createServer({ namespaces: { clicks: { subscribe: 'anyone', history: 'anyone' } } });
const clicks = live.channel('clicks:all');
const page = readFileSync(new URL('client.html', import.meta.url));

const web = createHttpServer((request, response) => {
  if (request.url === '/') response.setHeader('Content-Type', 'text/html; charset=utf-8').end(page);
  else if (request.url === '/click' && request.method === 'POST') {
    // Resolves when the record is on the disk.
    clicks.append({ browser: request.headers['user-agent'] ?? 'none' }).then(
      ({ cursor }) => response.writeHead(201).end(cursor),
      () => response.writeHead(503).end('try again'),
    );
  } else response.writeHead(404).end('there is no such page');
});

live.attach(web);
web.listen(Number(process.env['PORT'] ?? 3000), '127.0.0.1', () => {
  const address = web.address();
  if (typeof address === 'object') console.log(`open http://localhost:${address?.port}`);
});

// Clients are told to come back, what is in flight is answered, the log is closed; then the server's port.
process.once('SIGTERM', () => void live.close({ drainMs: 1_000 }).then(() => web.close()));
