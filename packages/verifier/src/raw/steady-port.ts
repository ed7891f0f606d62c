/** A port for a server that is killed and comes back on it while others connect to where it was. */
import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/** Below what systems give to whoever connects somewhere or listens on port 0 (from 32,768 on Linux). */
const FIRST_PORT = 10_240;
const PORTS_END = 32_768;

/** One of loopback on which nobody listens, and which nobody is given unasked. */
export async function steadyPort(): Promise<number> {
  for (;;) {
    const port = randomInt(FIRST_PORT, PORTS_END);
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
    });
    if (isFree) return port;
  }
}
