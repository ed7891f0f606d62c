/** A TCP proxy in front of Redis that can make single connections silent: open, but nothing passes any more. */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import type { TestContext } from 'node:test';

export class SilencingProxy {
  readonly url: string;
  #links: { readonly client: Socket; readonly server: Socket }[] = [];

  private constructor(port: number) {
    this.url = `redis://127.0.0.1:${port}`;
  }

  /** Ends with the test. */
  static async listen(t: TestContext, redisPort: number): Promise<SilencingProxy> {
    const server = createServer((client) => {
      const upstream = connect(redisPort, '127.0.0.1');
      for (const socket of [client, upstream]) socket.on('error', () => {});
      client.pipe(upstream).pipe(client);
      proxy.#links.push({ client, server: upstream });
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const proxy = new SilencingProxy((server.address() as AddressInfo).port);
    t.after(() => {
      server.close();
      proxy.forget();
    });
    return proxy;
  }

  /** The connection that was opened as the nth since `forget`, from 0. */
  silence(n: number): void {
    const link = this.#links[n];
    if (link === undefined) throw new Error(`there are ${this.#links.length} connections; got ${n}`);
    for (const socket of [link.client, link.server]) socket.unpipe().pause();
  }

  /** Cuts every connection there is, and counts from 0 again. */
  forget(): void {
    for (const { client, server } of this.#links) for (const socket of [client, server]) socket.destroy();
    this.#links = [];
  }
}
