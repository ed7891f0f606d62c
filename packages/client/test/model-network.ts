/**
 * The cable between the world's clients and a model server: it delays, keeps order, and can be cut at any moment; what
 * is under way then is lost in both directions.
 */
import type { Socket, SocketEvents } from '../src/env.ts';
import { ModelExchange } from './model-exchange.ts';
import { answer } from './model-http.ts';
import type { ModelServer, ModelSession } from './model-server.ts';
import type { Network, World } from './world.ts';

interface Cable {
  cut(close?: number): void;
  /** Only the client's end is cut: what it sent arrives, be it after what it sends over its next connection. */
  tear?(): void;
}

export class ModelNetwork implements Network {
  readonly #world: World;
  server: ModelServer;
  /** False refuses every new connection. */
  isUp = true;
  /** The server pings as it says (PNG-1). */
  isPinging = true;
  /** How long one message takes. */
  latencyMs: () => number = () => 1;
  /** How many connections were opened, also in vain. */
  opened = 0;
  readonly cables = new Set<Cable>();
  /** False stands for a proxy that lets no WebSocket through. */
  hasWebSocket = true;
  /** Requests that came over HTTP, in order. */
  readonly requests: string[] = [];

  constructor(world: World, server: ModelServer) {
    this.#world = world;
    this.server = server;
    server.now = () => 1_700_000_000_000 + world.nowMs;
  }

  fetch(url: string, init: RequestInit): Promise<Response> {
    return new Promise((resolve, reject) => {
      const fail = (error: unknown) => {
        exchange.cut();
        reject(error);
      };
      const exchange = new ModelExchange(new URL(url), init, this.#line(), resolve, fail, () =>
        this.cables.delete(exchange),
      );
      if (!this.isUp) {
        this.#world.after(this.latencyMs(), () => fail(new TypeError('the network is down')));
        return;
      }
      this.cables.add(exchange);
      const up = this.#line();
      up(() => {
        if (exchange.isOver) return;
        this.requests.push(`${init.method} ${exchange.url.pathname}`);
        answer(this.server, exchange);
        this.#comment(exchange);
      });
    });
  }

  /** Cuts every connection; neither side can say a word more. */
  cutAll(close = 1006): void {
    for (const cable of this.cables) cable.cut(close);
  }

  tearAll(): void {
    for (const cable of this.cables) {
      if (cable.tear === undefined) cable.cut();
      else cable.tear();
    }
  }

  openSocket(_url: string, _protocol: string, events: SocketEvents): Socket {
    this.opened++;
    let isCut = false;
    let isTorn = false;
    let isClosedByClient = false;
    let session: ModelSession | undefined;
    const cable: Cable = {
      cut: (close = 1006) => {
        if (isCut) return;
        isCut = true;
        this.cables.delete(cable);
        session?.onClose();
        this.#world.after(this.latencyMs(), () => {
          if (!isClosedByClient) events.onClose(close);
        });
      },
      tear: () => {
        if (isCut || isTorn) return;
        isTorn = true;
        this.#world.after(1, () => {
          if (!isClosedByClient) events.onClose(1006);
          isClosedByClient = true;
        });
        this.#world.after(2_000, () => cable.cut());
      },
    };
    const down = this.#line();
    const up = this.#line();
    if (!this.isUp || !this.hasWebSocket) {
      cable.cut(1006);
    } else {
      this.cables.add(cable);
      down(() => {
        if (isCut || isClosedByClient) return;
        session = this.server.accept({
          send: (message) => down(() => !isCut && !isClosedByClient && events.onMessage(message)),
          // A close that the server chose arrives behind what it said before.
          close: (close) => down(() => cable.cut(close)),
        });
        events.onOpen();
        this.#ping(session, () => isCut || isClosedByClient);
      });
    }
    return {
      send: (message) => up(() => !isCut && session?.onMessage(message)),
      close: () => {
        isClosedByClient = true;
        // The other end does not hear of it.
        if (isTorn) return;
        up(() => {
          isCut = true;
          this.cables.delete(cable);
          session?.onClose();
        });
      },
    };
  }

  #comment(exchange: ModelExchange): void {
    this.#world.after(15_000, () => {
      if (exchange.isOver) return;
      exchange.comment();
      this.#comment(exchange);
    });
  }

  #ping(session: ModelSession, isOver: () => boolean): void {
    this.#world.after(this.server.hello.pingMs ?? 25_000, () => {
      if (isOver()) return;
      if (this.isPinging) session.send({ op: 'ping' });
      this.#ping(session, isOver);
    });
  }

  /** One direction: messages arrive in the order sent. */
  #line(): (arrive: () => unknown) => void {
    let lastMs = 0;
    return (arrive) => {
      lastMs = Math.max(lastMs, this.#world.nowMs + this.latencyMs());
      this.#world.after(lastMs - this.#world.nowMs, () => void arrive());
    };
  }
}
