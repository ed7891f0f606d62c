/** The floor and the peers of fan-out as processes of the bench. */
import { join } from 'node:path';
import { Child } from '../child.ts';
import { frameBytesOf, type FanOutServer, type StartFanOut } from '../fan-out.ts';
import { compile } from '../floors/compile.ts';
import type { Dialect } from '../receiver.ts';

export const plainDialect: Dialect = { path: '/', countPrefix: '{"op":"record"' };

/** Engine.IO 4 on WebSocket: the server opens, the client asks for the name space, events are `42`, pings are `2`. */
export const socketIoDialect: Dialect = {
  path: '/socket.io/?EIO=4&transport=websocket',
  waitForGreeting: true,
  scripts: [['40']],
  ready: { prefix: '40', count: 1 },
  countPrefix: '42',
  ping: { prefix: '2', pong: '3' },
  failPrefix: '44',
};

async function serverOf(child: Child, dialect: Dialect, how = ''): Promise<FanOutServer> {
  const { port } = await child.next('ready');
  if (typeof port !== 'number') throw new Error(`${child.name} named no port`);
  return {
    pid: child.pid,
    port,
    dialect,
    async prepare(plan) {
      return {
        generators: [],
        async send() {
          const frameBytes = frameBytesOf(plan.payloadBytes);
          child.send(`run ${plan.ticks} ${plan.hz} ${plan.burst} ${frameBytes} ${plan.channels}${how}`);
          await child.next('done', 120_000);
        },
        async close() {},
      };
    },
    stop: () => child.stop(),
  };
}

/** The C `send` loop: one `send` for each frame, or one for all frames of a tick. */
export function startFloor(how: 'single' | 'joined'): StartFanOut {
  return ({ connections }) =>
    serverOf(
      new Child(compile('fan-out-sender'), [String(connections)], { name: `C ${how}` }),
      plainDialect,
      ` ${how}`,
    );
}

/** Starts a peer of this folder as its own process. */
export function startNode(
  script: string,
  args: readonly string[],
  name: string,
  nodeArgs: readonly string[] = [],
): Child {
  return new Child(process.execPath, [...nodeArgs, join(import.meta.dirname, script), ...args], { name });
}

export function startWsLoop(mode: 'string' | 'buffer' | 'cork'): StartFanOut {
  return () => serverOf(startNode('ws-loop.ts', [mode], `ws ${mode}`), plainDialect);
}

export const startSocketIo: StartFanOut = ({ channels }) =>
  serverOf(startNode('socket-io.ts', channels > 1 ? [String(channels)] : [], 'Socket.IO'), socketIoDialect);
