/**
 * A provider of keys for tests: a real HTTP server on loopback whose answer a test changes, and that counts who asks.
 */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface KeyServer {
  readonly url: string;
  /** How often it was asked. */
  readonly asked: number;
  /** What it answers from now on; a function may keep the one who asks waiting. */
  answer(body: string | (() => Promise<string>), status?: number, headers?: Record<string, string>): void;
  close(): Promise<void>;
}

export async function startKeyServer(): Promise<KeyServer> {
  let asked = 0;
  let current: { body: string | (() => Promise<string>); status: number; headers: Record<string, string> } = {
    body: '{"keys":[]}',
    status: 200,
    headers: {},
  };
  const server: Server = createServer((_, response) => {
    asked++;
    const { body, status, headers } = current;
    void (async () => {
      const text = typeof body === 'string' ? body : await body();
      response.writeHead(status, headers).end(text);
    })();
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks`,
    get asked() {
      return asked;
    },
    answer: (body, status = 200, headers = {}) => void (current = { body, status, headers }),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
