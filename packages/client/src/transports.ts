/**
 * Which transport carries the next link: WebSocket, or SSE and POST where a proxy lets no WebSocket through (CLI-5).
 */
import type { Endpoints } from './endpoints.ts';
import type { Env } from './env.ts';
import type { Http } from './http.ts';
import type { Link, LinkEvents } from './link.ts';
import { openWebSocketLink } from './websocket-link.ts';

export type TransportChoice = 'auto' | 'websocket' | 'sse';

/** So many WebSockets in vain, and it is time to ask whether the server is there at all. */
const VAIN_MAX = 2;
/** How long SSE serves before WebSocket is tried again. */
const AGAIN_MS = 300_000;

export interface TransportsOptions {
  readonly env: Env;
  readonly endpoints: Endpoints;
  readonly http: Http;
  readonly choice: TransportChoice;
  /** A WebSocket gets through after all: the next link can be one. */
  readonly onBetter: () => void;
}

export class Transports {
  readonly #options: TransportsOptions;
  #kind: 'websocket' | 'sse';
  /** WebSocket is proven, or is not to be doubted. */
  #isSure: boolean;
  #vain = 0;
  #cancelAgain = () => {};

  constructor(options: TransportsOptions) {
    this.#options = options;
    this.#kind = options.choice === 'sse' ? 'sse' : 'websocket';
    this.#isSure = options.choice !== 'auto';
  }

  open(events: LinkEvents): Link {
    return this.#kind === 'sse' ? this.#openSse(events) : openWebSocketLink(this.#options, events);
  }

  /** A link ended before `hello` was answered. */
  failed(): void {
    if (this.#isSure || this.#kind === 'sse' || ++this.#vain < VAIN_MAX) return;
    this.#options.http.send({ method: 'GET', path: '/healthz' }, undefined).then(
      () => this.#fallBack(),
      () => {},
    );
  }

  /** A link brought a frame. */
  worked(): void {
    if (this.#kind === 'websocket') this.#isSure = true;
  }

  close(): void {
    this.#isSure = true;
    this.#cancelAgain();
  }

  #fallBack(): void {
    if (this.#isSure) return;
    this.#kind = 'sse';
    this.#cancelAgain();
    this.#cancelAgain = this.#options.env.setTimer(AGAIN_MS, () => this.#tryAgain());
  }

  /** A frame before `hello` is answered too: that is proof enough. */
  #tryAgain(): void {
    const link = openWebSocketLink(this.#options, {
      onOpen: () => link.probe(),
      onFrame: () => {
        link.close();
        if (this.#isSure) return;
        this.#isSure = true;
        this.#kind = 'websocket';
        this.#options.onBetter();
      },
      onClose: () => this.#fallBack(),
    });
  }

  /** Loaded only where a network needs it, which few do: what every page loads stays small. */
  #openSse(events: LinkEvents): Link {
    const { env, http } = this.#options;
    let link: Link | undefined;
    let isClosed = false;
    import('./sse-link.ts').then(
      ({ SseLink }) => {
        if (!isClosed) link = new SseLink(env, http, events);
      },
      () => {
        // The page's own server has it no more, or is out of reach: what is loaded already is tried again.
        if (!this.#isSure) this.#kind = 'websocket';
        this.#vain = 0;
        if (!isClosed) events.onClose();
      },
    );
    return {
      send: (frame, payload) => link?.send(frame, payload),
      probe: () => link?.probe(),
      close() {
        isClosed = true;
        link?.close();
      },
    };
  }
}
