/**
 * The floor of a durable append over WebSocket in Node: parse the frame (`ws`), write what has gathered with one synced
 * write, answer. No check of JSON, no channel, no repeat recognized, no order across connections, nothing to read it
 * back with, nobody to deliver it to. Whatever a server does more than this, it does for something.
 *
 * With `--read` it also reads each header and checks each payload as JSON, which PROTOCOL.md asks of every server: what
 * a server in this language cannot do without.
 *
 *     node append-floor.ts FILE [--read]
 */
import { once } from 'node:events';
import { constants, openSync, write } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { promisify } from 'node:util';
import { WebSocketServer, type WebSocket } from 'ws';

const path = process.argv[2];
if (path === undefined) throw new Error('usage: append-floor.ts FILE');
const { O_CREAT, O_WRONLY, O_APPEND, O_DSYNC } = constants;
const file = openSync(path, O_CREAT | O_WRONLY | O_APPEND | O_DSYNC);
const writeFile = promisify(write);

interface Client {
  readonly webSocket: WebSocket;
  readonly socket: Socket;
  readonly answers: string[];
}

interface Waiting {
  readonly client: Client;
  readonly frame: Buffer;
}

let waiting: Waiting[] = [];
let writing = false;

const reading = process.argv.includes('--read');

function idOf(frame: Buffer): string {
  if (reading) return readId(frame);
  const from = frame.indexOf('"id":') + 5;
  return frame.toString('latin1', from, frame.indexOf(',', from));
}

function readId(frame: Buffer): string {
  const lineEnd = frame.indexOf('\n');
  const { id } = JSON.parse(frame.toString('utf8', 0, lineEnd)) as { id: number };
  JSON.parse(frame.toString('utf8', lineEnd + 1));
  return String(id);
}

async function writeBatches(): Promise<void> {
  while (waiting.length > 0) {
    const batch = waiting;
    waiting = [];
    const bytes = Buffer.concat(batch.map(({ frame }) => frame));
    const { bytesWritten } = await writeFile(file, bytes);
    if (bytesWritten !== bytes.length) throw new Error(`wrote ${bytesWritten} of ${bytes.length} bytes`);
    const clients = new Set<Client>();
    for (const { client, frame } of batch) {
      client.answers.push(`{"op":"ok","id":${idOf(frame)},"cursor":"------.3123.----"}`);
      clients.add(client);
    }
    for (const { socket, webSocket, answers } of clients) {
      socket.cork();
      for (const answer of answers.splice(0)) webSocket.send(answer);
      socket.uncork();
    }
  }
  writing = false;
}

const server = createServer();
new WebSocketServer({ server, perMessageDeflate: false }).on('connection', (webSocket, request) => {
  const client = { webSocket, socket: request.socket, answers: [] };
  webSocket.on('message', (data) => {
    // `ws` gives a Buffer unless told otherwise.
    waiting.push({ client, frame: data as Buffer });
    if (writing) return;
    writing = true;
    setImmediate(() => void writeBatches());
  });
});
server.listen(0, '127.0.0.1');
await once(server, 'listening');
console.log(JSON.stringify({ event: 'ready', port: (server.address() as AddressInfo).port }));
process.stdin.on('end', () => process.exit(0)).resume();
