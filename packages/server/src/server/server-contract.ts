/** What an application may do with a server, whether it is one process or several. */
import type { IncomingMessage, Server as HttpServer, ServerResponse } from 'node:http';
import type { Client } from '@tideway/client';
import type { Contract } from '@tideway/protocol';

export interface ListenOptions {
  /** Default: the configuration's, 7400. 0 takes a free one. */
  readonly port?: number;
  /** Default: the configuration's, 127.0.0.1. */
  readonly host?: string;
  /** Answers paths that are not Tideway's. Default: `not_found`. */
  readonly fallback?: (request: IncomingMessage, response: ServerResponse) => void;
}

export interface CloseOptions {
  /** How long clients may take to move elsewhere. Default: the configuration's `drainMs`. */
  readonly drainMs?: number;
}

/** A server of one node. */
export interface Server<C extends Contract = Contract> extends Pick<Client<C>, 'channel'> {
  /** Listens on a port of its own; resolves with where. */
  listen(options?: ListenOptions): Promise<{ readonly url: string; readonly port: number }>;
  /** Serves Tideway's paths on a server that the application has (Express, Fastify, plain Node); all others stay its own. */
  attach(server: HttpServer): void;
  /** Where it listens; `undefined` before `listen`. */
  readonly url: string | undefined;
  /** Ends all sessions of a user on all nodes; returns how many there were on this one. Does not revoke credentials. */
  disconnect(user: string): number;
  /**
   * Tells clients to go elsewhere, answers what is in flight, flushes, closes; then channels in process are over as those
   * of a closed client. Calling it again waits for the same end.
   */
  close(options?: CloseOptions): Promise<void>;
}
