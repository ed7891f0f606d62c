/**
 * `@tideway/verifier/free-ports`: ports for programs that cannot be told to take a free one themselves, or that are killed
 * and come back where others look for them.
 */
import { createServer, type Server } from 'node:net';

/**
 * Where nobody is given a port unasked: above those of well-known programs, below those that systems give to whoever
 * connects somewhere or listens on port 0 (from 32,768 on Linux, from 49,152 elsewhere: RFC 6335, 6). A program that is
 * down for a moment finds its port there again.
 */
const FIRST_PORT = 10_240;
export const LAST_PORT = 32_767;
/** So often is another one tried; that all are taken is not an accident. */
const TRIES = 200;

/**
 * So many ports of loopback on which nobody listens, all different. Nothing holds them: whoever is slow may find one taken.
 */
export async function freePorts(count: number): Promise<number[]> {
  const servers: Server[] = [];
  const ports: number[] = [];
  for (let tries = 0; ports.length < count && tries < TRIES * count; tries++) {
    const port = FIRST_PORT + Math.floor(Math.random() * (LAST_PORT - FIRST_PORT + 1));
    const server = await listenOn(port);
    if (server === undefined) continue;
    servers.push(server);
    ports.push(port);
  }
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  if (ports.length < count) throw new Error(`no ${count} free ports from ${FIRST_PORT} to ${LAST_PORT} on 127.0.0.1`);
  return ports;
}

/** One of them. */
export async function freePort(): Promise<number> {
  const [port] = (await freePorts(1)) as [number];
  return port;
}

/** Undefined where somebody listens, or nobody may. */
function listenOn(port: number): Promise<Server | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(undefined));
    server.listen(port, '127.0.0.1', () => resolve(server));
  });
}
