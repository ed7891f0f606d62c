/**
 * Thousands of idle TLS connections from one process, where the C receiver speaks no TLS. Opens them, says on each what
 * it was told to, says `ready`, and keeps them until stdin ends.
 *
 *     node tls-clients.ts '{"url":"wss://…","protocol":"…","connections":3000,"frames":["…"],"messages":2}'
 */
import { once } from 'node:events';
import { WebSocket } from 'ws';

export interface TlsClients {
  readonly url: string;
  readonly protocol?: string;
  readonly connections: number;
  readonly frames: readonly string[];
  /** What each must have received to be ready. */
  readonly messages: number;
}

// The bench is the only caller: it stringifies a TlsClients.
const options = JSON.parse(process.argv[2] ?? '{}') as TlsClients;

async function open(): Promise<void> {
  // The certificate is made for the run and signed by nobody; nothing but idle connections depends on it.
  const webSocket = new WebSocket(options.url, options.protocol === undefined ? [] : [options.protocol], {
    rejectUnauthorized: false,
    perMessageDeflate: false,
  });
  webSocket.on('close', (code) => {
    console.log(JSON.stringify({ event: 'failed', reason: `a connection was closed with ${code}` }));
    process.exit(1);
  });
  let messages = 0;
  const ready = new Promise<void>((resolve) => {
    webSocket.on('message', (data: Buffer) => {
      const text = data.toString();
      if (text.startsWith('{"op":"ping"')) webSocket.send('{"op":"pong"}');
      if (++messages === options.messages) resolve();
    });
    if (options.messages === 0) resolve();
  });
  await once(webSocket, 'open');
  for (const frame of options.frames) webSocket.send(frame);
  await ready;
}

let left = options.connections;
async function openInTurn(): Promise<void> {
  while (left-- > 0) await open();
}
await Promise.all(Array.from({ length: 32 }, openInTurn));
console.log(JSON.stringify({ event: 'ready' }));
process.stdin.on('end', () => process.exit(0)).resume();
