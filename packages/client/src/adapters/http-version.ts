/** Which version of HTTP Node's own `fetch`, `WebSocket` and what is made of them speak. */

/** Where undici, which is inside Node, keeps what all of them send with; there since undici 8, which Node 26 has. */
const dispatcherKey = Symbol.for('undici.globalDispatcher.2');

interface Dispatcher {
  readonly constructor: (new (options: { readonly allowH2: boolean }) => Dispatcher) | undefined;
}

/**
 * Makes `fetch` and `WebSocket` of this process speak HTTP/1.1, as those of Node 24 do. Call it once, before the first
 * `connect`, where the server is behind a proxy with HTTP/2: those of Node 26 (undici before 8.13.1, its issue 5936) end
 * the whole process when such a connection is reset in the middle of an answer.
 *
 * @example
 * disableHttp2();
 * const client = connect({ url: 'https://live.example.com' });
 */
export function disableHttp2(): void {
  // The first look at it loads undici.
  void globalThis.WebSocket;
  const holder = globalThis as { [dispatcherKey]?: Dispatcher };
  const Agent = holder[dispatcherKey]?.constructor;
  // Any other class is of somebody who has chosen already.
  if (Agent?.name === 'Agent' || Agent?.name === 'EnvHttpProxyAgent')
    holder[dispatcherKey] = new Agent({ allowH2: false });
}
