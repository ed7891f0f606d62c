/**
 * `connect`: a client for one server and identity. Those that name the same server, token function and outbox share one
 * connection, so components need not pass a client around to spare connections.
 */
import type { Contract } from '@tideway/protocol';
import { ambientEnv } from './adapters/ambient-env.ts';
import { type Client, TidewayClient } from './client.ts';
import { Core } from './core.ts';
import type { TokenSource } from './credentials.ts';
import { resolveEndpoints } from './endpoints.ts';
import type { Env } from './env.ts';
import type { OutboxStore } from './outbox-store.ts';
import type { TransportChoice } from './transports.ts';

export interface ConnectOptions {
  /** The server, such as `https://live.example.com`; in a page it may be relative, such as `/`. */
  readonly url: string;
  /** Gives a token whenever one is needed; without it the client is anonymous. */
  readonly token?: TokenSource;
  /** `auto` (default): WebSocket, and SSE with POST where no WebSocket gets through. */
  readonly transport?: TransportChoice;
  /** Where appends without answer are kept; `memory` (default) loses them when the page or process ends. */
  readonly outbox?: 'memory' | OutboxStore;
  /** Hears of errors that no promise carries; without it they go to the console. */
  readonly onError?: (error: unknown) => void;
}

interface Shared {
  readonly core: Core;
  readonly key: readonly unknown[];
  handles: number;
}

const shared = new Set<Shared>();

/**
 * @throws TypeError when the URL names no server
 * @example const client = connect<App>({ url: '/', token: () => fetch('/token').then((r) => r.text()) })
 */
export function connect<C extends Contract>(options: ConnectOptions & { readonly contract: C }): Client<C, 'parsed'>;
export function connect<C extends Contract = Contract>(options: ConnectOptions): Client<C>;
export function connect(options: ConnectOptions & { readonly contract?: Contract }): TidewayClient {
  return connectIn(ambientEnv, options);
}

/** `connect` in an environment of one's own. */
export function connectIn(env: Env, options: ConnectOptions & { readonly contract?: Contract }): TidewayClient {
  const { url, token, transport = 'auto', outbox, contract, onError } = options;
  const endpoints = resolveEndpoints(url, env.baseUrl);
  const store = outbox === 'memory' ? undefined : outbox;
  const key = [env, endpoints.http, token, transport, store];
  const used = [...shared].find((one) => one.key.every((part, index) => part === key[index])) ?? {
    core: new Core({ env, endpoints, token, transport, outbox: store }),
    key,
    handles: 0,
  };
  shared.add(used);
  used.handles++;
  return new TidewayClient(used.core, {
    contract,
    onError,
    onClose() {
      if (--used.handles > 0) return;
      shared.delete(used);
      used.core.close();
    },
  });
}
