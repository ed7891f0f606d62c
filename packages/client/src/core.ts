/**
 * What all clients of one server and identity share: one connection with its subscriptions and its outbox. Only wires
 * them up and says which state they are in together.
 */
import type { TidewayError } from '@tideway/protocol';
import { Connection } from './connection.ts';
import { Credentials, type TokenSource } from './credentials.ts';
import type { Endpoints } from './endpoints.ts';
import { callUser, type Env, randomId } from './env.ts';
import { Http } from './http.ts';
import { OutboxKeeper } from './outbox-keeper.ts';
import type { OutboxEntry, OutboxStore } from './outbox-store.ts';
import { Outbox } from './outbox.ts';
import { Subscriptions } from './subscriptions.ts';
import { type TransportChoice, Transports } from './transports.ts';

/**
 * `connecting`: for the first time; `live`; `catching up`: connected, and readers are still behind; `stale`: the server
 * has lost its log, what is shown may be old; `offline`: the connection is lost and sought again; `closed`: by the
 * application, or the server refused it (`client.error`).
 */
export type ClientState = 'connecting' | 'live' | 'catching up' | 'stale' | 'offline' | 'closed';

export interface CoreOptions {
  readonly env: Env;
  readonly endpoints: Endpoints;
  readonly token: TokenSource | undefined;
  readonly transport: TransportChoice;
  readonly outbox: OutboxStore | undefined;
}

/** What one client wants to hear. */
export interface CoreListener {
  readonly onError: ((error: unknown) => void) | undefined;
  onState(state: ClientState): void;
  onUnsaved(count: number): void;
  onAppendFailed(error: TidewayError, entry: OutboxEntry): void;
}

export class Core {
  /** Random, made once: the server knows this object by it over reconnects (HEL-1). */
  readonly instance: string;
  readonly env: Env;
  readonly connection: Connection;
  readonly subscriptions: Subscriptions;
  readonly outbox: Outbox;
  readonly http: Http;
  readonly listeners = new Set<CoreListener>();
  /** Why the server refused the client for good. */
  error: TidewayError | undefined;
  readonly #credentials: Credentials;
  readonly #keeper: OutboxKeeper | undefined;
  readonly #transports: Transports;
  readonly #stopWaking: () => void;
  #state: ClientState = 'connecting';
  #unsaved = 0;

  constructor(options: CoreOptions) {
    const { env, endpoints } = options;
    this.env = env;
    this.#credentials = new Credentials(env, options.token);
    this.instance = randomId(env);
    this.http = new Http(env, endpoints, this.#credentials, this.instance);
    this.#transports = new Transports({
      env,
      endpoints,
      http: this.http,
      choice: options.transport,
      onBetter: () => this.connection.restart(0),
    });
    this.connection = new Connection({
      env,
      transports: this.#transports,
      credentials: this.#credentials,
      instance: this.instance,
      events: {
        onOpen: () => this.subscriptions.onOpen(),
        onSession: (hello) => this.outbox.onSession(hello),
        onLost: () => {
          this.subscriptions.onLost();
          this.outbox.onLost();
        },
        onFrame: (frame, payload) => this.subscriptions.onFrame(frame, payload),
        onRefused: (error, close) => this.#onRefused(error, close),
        onChange: this.#onChange,
        onError: this.report,
      },
    });
    this.subscriptions = new Subscriptions(env, this.connection, {
      onChange: this.#onChange,
      onError: this.report,
    });
    this.#keeper = options.outbox && new OutboxKeeper(options.outbox, this.report);
    this.outbox = new Outbox(
      env,
      this.connection,
      {
        onChange: () => this.#onUnsaved(),
        onFailed: (error, entry) => {
          for (const listener of this.listeners) listener.onAppendFailed(error, entry);
        },
      },
      this.#keeper,
    );
    this.#keeper?.open(
      (entries) => this.outbox.adopt(entries),
      () => this.outbox.release(),
    );
    this.#stopWaking = env.onWake(() => this.connection.wake());
    this.connection.start();
  }

  get state(): ClientState {
    return this.#state;
  }

  /** Connects again after the server refused it. */
  reconnect(): void {
    this.error = undefined;
    this.connection.start();
  }

  /** Once, when its last client has gone. */
  close(): void {
    this.#stopWaking();
    this.subscriptions.close();
    this.connection.stop();
    this.#transports.close();
    this.#keeper?.close();
    this.#credentials.close();
  }

  /** Says an error that no promise carries: to the application, or where it does not listen, to the console. */
  readonly report = (error: unknown): void => {
    const complain = (thrown: unknown) => this.env.complain(thrown);
    let isTaken = false;
    for (const { onError } of this.listeners) {
      if (onError === undefined) continue;
      isTaken = true;
      callUser(complain, () => onError(error));
    }
    if (!isTaken) complain(error);
  };

  #onRefused(error: TidewayError, close: number): void {
    this.error = error;
    if (close > 0 && close < 4000) this.outbox.failOldest(error);
    this.report(error);
  }

  readonly #onChange = (): void => {
    const state = this.#judge();
    if (state === this.#state) return;
    if (this.#state === 'stale') this.outbox.onLogUp();
    this.#state = state;
    for (const listener of this.listeners) listener.onState(state);
  };

  #judge(): ClientState {
    switch (this.connection.phase) {
      case 'live':
        if (this.connection.isLogDown) return 'stale';
        return this.subscriptions.isLive ? 'live' : 'catching up';
      case 'stopped':
        return 'closed';
      case 'waiting':
        return 'offline';
      case 'opening':
        return this.#state === 'connecting' || this.#state === 'closed' ? 'connecting' : 'offline';
      default:
        return this.connection.phase satisfies never;
    }
  }

  #onUnsaved(): void {
    const { count } = this.outbox;
    if (count === this.#unsaved) return;
    this.#unsaved = count;
    for (const listener of this.listeners) listener.onUnsaved(count);
  }
}
