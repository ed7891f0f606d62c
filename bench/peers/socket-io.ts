/** Socket.IO as its documentation starts it, on WebSocket only: `io.emit` to all, or to the room of a channel. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { Server } from 'socket.io';
import { obey, payloadOf, type Plan, type TickRecord } from './ticks.ts';

const http = createServer();
const io = new Server(http, { transports: ['websocket'], serveClient: false });
let clients = 0;
let firstBacklog = (): number => 0;

/** Everybody is in a room for each way to share out the clients that a plan may ask for. */
const channelCounts = process.argv.slice(2).map(Number);

io.on('connection', (socket) => {
  const index = clients++;
  for (const channels of channelCounts) void socket.join(`${channels}:${index % channels}`);
  if (index === 0) firstBacklog = () => (socket.conn.transport.writable ? 0 : Number.POSITIVE_INFINITY);
});

/** As long on the wire as a Tideway record with the same payload, header and all: bytes must not decide. */
const envelopeBytes = '42["record",]'.length;

function send(records: readonly TickRecord[], plan: Plan): void {
  for (const record of records) {
    const payload = payloadOf(record, plan.frameBytes - envelopeBytes);
    if (plan.channels === 1) io.emit('record', payload);
    else io.to(`${plan.channels}:${record.channel}`).emit('record', payload);
  }
}

http.listen({ port: 0, host: '127.0.0.1', backlog: 4_096 });
await once(http, 'listening');
await obey((http.address() as AddressInfo).port, send, () => firstBacklog());
