/**
 * Which transport carries the next link: WebSocket, or SSE and POST where a proxy lets no WebSocket through
 * (PROTOCOL.md §6).
 */
import type { Endpoints } from './endpoints.ts';
import type { Env } from './env.ts';
import type { Link, LinkEvents } from './link.ts';
import { openWebSocketLink } from './websocket-link.ts';

export type TransportChoice = 'auto' | 'websocket' | 'sse';

export class Transports {
  readonly #env: Env;
  readonly #endpoints: Endpoints;

  constructor(env: Env, endpoints: Endpoints, _choice: TransportChoice) {
    this.#env = env;
    this.#endpoints = endpoints;
  }

  open(events: LinkEvents): Link {
    return openWebSocketLink(this.#env, this.#endpoints.socket, events);
  }

  /** A link ended before `hello` was answered. */
  failed(): void {}

  /** A link brought a frame. */
  worked(): void {}
}
