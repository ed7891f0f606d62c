/** A node in the process of a test, on loopback: closed at the test's end, or before it to be started again. */
import type { TestContext } from 'node:test';
import { createServer, type ServerOptions } from 'tideway';

export interface Node {
  readonly url: string;
  readonly port: number;
  close(): Promise<void>;
}

export async function startNode(t: TestContext, options: ServerOptions): Promise<Node> {
  const server = await createServer({ logger: () => {}, ...options });
  const close = (): Promise<void> => server.close({ drainMs: 0 });
  t.after(close);
  return { ...(await server.listen({ port: 0 })), close };
}
