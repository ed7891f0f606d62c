/**
 * The page's network cable: pulled out, every connection to the server ends and none can be made, as in a tunnel. Put
 * in before the first connection, since it stands in for the page's WebSocket and fetch; the SDK knows nothing of it.
 */

export class Cable {
  readonly #server: string;
  readonly #sockets = new Set<WebSocket>();
  #torn = new AbortController();
  #isPulled = false;

  /** Lays the cable to a server; what goes elsewhere is not its business. */
  constructor(server: string) {
    this.#server = server;
    window.WebSocket = new Proxy(window.WebSocket, {
      construct: (Real, [url, protocols]: [string, string | undefined]) => this.#open(new Real(url, protocols)),
    });
    const realFetch = window.fetch.bind(window);
    window.fetch = (input, init) => {
      const url = input instanceof Request ? input.url : input.toString();
      if (!url.startsWith(this.#server)) return realFetch(input, init);
      if (this.#isPulled) return Promise.reject(new TypeError('the network is cut'));
      const signals = [this.#torn.signal, ...(init?.signal == null ? [] : [init.signal])];
      return realFetch(input, { ...init, signal: AbortSignal.any(signals) });
    };
  }

  get isPulled(): boolean {
    return this.#isPulled;
  }

  pull(): void {
    this.#isPulled = true;
    for (const socket of this.#sockets) socket.close();
    this.#torn.abort(new TypeError('the network is cut'));
    this.#torn = new AbortController();
  }

  /** The network is back, and the browser says so. */
  plugIn(): void {
    this.#isPulled = false;
    window.dispatchEvent(new Event('online'));
  }

  #open(socket: WebSocket): WebSocket {
    this.#sockets.add(socket);
    socket.addEventListener('close', () => this.#sockets.delete(socket));
    // A socket closed before it is open fails as one does that nobody answers.
    if (this.#isPulled) socket.close();
    return socket;
  }
}
