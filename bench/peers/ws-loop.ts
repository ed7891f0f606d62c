/**
 * What most people write first: a `ws` server and a loop over its clients. `string` sends the text to each (the plain
 * loop), `buffer` encodes it once, `cork` also joins what one tick has for a client into one write. It keeps nothing,
 * numbers nothing and resumes nobody.
 *
 *     node ws-loop.ts string|buffer|cork [--tls]
 */
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { once } from 'node:events';
import { WebSocketServer, type WebSocket } from 'ws';
import { obey, payloadOf, type Plan, type TickRecord } from './ticks.ts';
import { selfSigned } from './certificate.ts';

const mode = process.argv[2];
const server = process.argv.includes('--tls') ? createTlsServer(await selfSigned()) : createServer();
const sockets = new WebSocketServer({ server, perMessageDeflate: false });
const clients: { readonly webSocket: WebSocket; readonly socket: Socket }[] = [];
sockets.on('connection', (webSocket, request) => {
  clients.push({ webSocket, socket: request.socket });
});

/** As long as a Tideway record with the same payload, header and all: bytes must not decide. */
function textOf(record: TickRecord, plan: Plan): string {
  const header = '{"op":"record"}\n';
  return header + JSON.stringify(payloadOf(record, plan.frameBytes - header.length));
}

function sendText(records: readonly TickRecord[], plan: Plan): void {
  for (const record of records) {
    const text = textOf(record, plan);
    for (let i = record.channel; i < clients.length; i += plan.channels) clients[i]!.webSocket.send(text);
  }
}

const asText = { binary: false };

function sendBuffer(records: readonly TickRecord[], plan: Plan): void {
  for (const record of records) {
    const bytes = Buffer.from(textOf(record, plan));
    for (let i = record.channel; i < clients.length; i += plan.channels) clients[i]!.webSocket.send(bytes, asText);
  }
}

function sendCorked(records: readonly TickRecord[], plan: Plan): void {
  const frames = records.map((record) => Buffer.from(textOf(record, plan)));
  for (const { webSocket, socket } of clients) {
    socket.cork();
    for (const frame of frames) webSocket.send(frame, asText);
    socket.uncork();
  }
}

const send = mode === 'string' ? sendText : mode === 'buffer' ? sendBuffer : mode === 'cork' ? sendCorked : undefined;
if (!send) throw new Error(`the mode must be string, buffer or cork, got ${mode}`);
server.listen({ port: 0, host: '127.0.0.1', backlog: 4_096 });
await once(server, 'listening');
await obey((server.address() as AddressInfo).port, send, () => clients[0]?.socket.writableLength ?? 0);
