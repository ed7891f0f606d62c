/**
 * The cable between the world's clients and a model server: it delays, keeps order, and can be cut at any moment; what
 * is under way then is lost in both directions.
 */
import type { Socket, SocketEvents } from '../src/env.ts';
import type { ModelServer, ModelSession } from './model-server.ts';
import type { Network, World } from './world.ts';

interface Cable {
  cut(close: number): void;
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
  /** Answers `fetch`. */
  http: (url: URL, init: RequestInit) => Promise<Response> = () => Promise.reject(new TypeError('no HTTP here'));

  constructor(world: World, server: ModelServer) {
    this.#world = world;
    this.server = server;
    server.now = () => 1_700_000_000_000 + world.nowMs;
  }

  fetch(url: string, init: RequestInit): Promise<Response> {
    return this.http(new URL(url), init);
  }

  /** Cuts every connection; neither side can say a word more. */
  cutAll(close = 1006): void {
    for (const cable of this.cables) cable.cut(close);
  }

  openSocket(_url: string, _protocol: string, events: SocketEvents): Socket {
    this.opened++;
    let isCut = false;
    let isClosedByClient = false;
    let session: ModelSession | undefined;
    const cable: Cable = {
      cut: (close) => {
        if (isCut) return;
        isCut = true;
        this.cables.delete(cable);
        session?.onClose();
        this.#world.after(this.latencyMs(), () => {
          if (!isClosedByClient) events.onClose(close);
        });
      },
    };
    const down = this.#line();
    const up = this.#line();
    if (!this.isUp) {
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
        up(() => {
          isCut = true;
          this.cables.delete(cable);
          session?.onClose();
        });
      },
    };
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
