/**
 * The client as the application sees it: one handle on a core that it may share with others.
 */
import {
  type Contract,
  fillPattern,
  type PatternParameter,
  type PatternParameters,
  type RecordInput,
  type RecordOutput,
  type SignalInput,
  type SignalOutput,
  TidewayError,
} from '@tideway/protocol';
import { type Channel, LiveChannel } from './channel.ts';
import type { ClientState, Core, CoreListener } from './core.ts';
import { callUser } from './env.ts';
import { decodePayload } from './payload.ts';
import { type Stoppable, stoppable } from './stoppable.ts';

/** An append that has failed for good. */
export interface FailedAppend {
  readonly error: TidewayError;
  readonly channel: string;
  readonly rid: string;
  readonly key: string | undefined;
  /** What was to be appended. */
  readonly data: unknown;
}

export interface ClientEvents {
  appendFailed: FailedAppend;
  /** How many appends have no outcome yet. */
  unsaved: number;
}

/** All that a client tells. */
interface Heard extends ClientEvents {
  state: ClientState;
}

/** What `channel` takes beside the pattern: its parameters, where it has any. */
type Parameters<P extends string> = string extends P
  ? [parameters?: Readonly<Record<string, string>>]
  : [PatternParameter<P>] extends [never]
    ? []
    : [parameters: PatternParameters<P>];

/** What a contract says; without one everything is `unknown`. */
type Said<C, T> = string extends keyof C ? unknown : T;

/** `Reading`: `wire` gives what was appended, `parsed` what the run-time contract made of it. */
export interface Client<C extends Contract = Contract, Reading extends 'wire' | 'parsed' = 'wire'> {
  readonly state: ClientState;
  /** Names this client to the server over reconnects; signals are not sent back to it. */
  readonly instance: string;
  /** Why the server refused this client for good; `reconnect` tries again. */
  readonly error: TidewayError | undefined;
  /** How many appends have no outcome yet: ask before a page is left. */
  readonly unsaved: number;
  /**
   * A channel by its pattern and parameters, or by its name.
   *
   * @throws RangeError when a parameter is missing or the name is none; TidewayError `disconnected` after `close`
   * @example client.channel('chat:{room}', { room: '42' })
   */
  channel<const P extends keyof C & string>(
    pattern: P,
    ...parameters: Parameters<NoInfer<P>>
  ): Channel<
    Said<C, Reading extends 'wire' ? RecordInput<C, P> : RecordOutput<C, P>>,
    Said<C, RecordInput<C, P>>,
    Said<C, Reading extends 'wire' ? SignalInput<C, P> : SignalOutput<C, P>>,
    Said<C, SignalInput<C, P>>
  >;
  onState(onState: (state: ClientState) => void): Stoppable;
  on<Name extends keyof ClientEvents>(event: Name, onEvent: (value: ClientEvents[Name]) => void): Stoppable;
  /** Connects at once: after the server refused the client, or instead of waiting for the next attempt. */
  reconnect(): void;
  /**
   * Ends this client and all that was taken from it, whoever shares its connection: its readers end, its handlers hear
   * nothing more, and its channels refuse `append` and `history` with `disconnected`. Appends without outcome fail as
   * `unconfirmed` here; they stay where the outbox is kept, and who shares the connection goes on sending them.
   */
  close(): void;
}

export interface ClientHandle {
  readonly contract: Contract | undefined;
  readonly onError: ((error: unknown) => void) | undefined;
  readonly onClose: () => void;
}

export class TidewayClient implements Client {
  /** For what comes in entries of its own. */
  readonly core: Core;
  readonly #contract: Contract | undefined;
  readonly #onClose: () => void;
  readonly #listener: CoreListener;
  readonly #listeners: { readonly [Name in keyof Heard]: Set<(value: Heard[Name]) => void> } = {
    state: new Set(),
    appendFailed: new Set(),
    unsaved: new Set(),
  };
  /** Aborted by `close`. */
  readonly #life = new AbortController();

  constructor(core: Core, options: ClientHandle) {
    this.core = core;
    this.#contract = options.contract;
    this.#onClose = options.onClose;
    this.#listener = {
      onError: options.onError,
      onState: (state) => this.#tell('state', state),
      onUnsaved: (count) => this.#tell('unsaved', count),
      onAppendFailed: (error, { channel, rid, key, payload }) =>
        this.#tell('appendFailed', { error, channel, rid, key, data: decodePayload(payload) }),
    };
    core.listeners.add(this.#listener);
  }

  get state(): ClientState {
    return this.#life.signal.aborted ? 'closed' : this.core.state;
  }

  get instance(): string {
    return this.core.instance;
  }

  get error(): TidewayError | undefined {
    return this.core.error;
  }

  get unsaved(): number {
    return this.#life.signal.aborted ? 0 : this.core.outbox.count;
  }

  channel(pattern: string, parameters?: Readonly<Record<string, string>>): Channel {
    this.#life.signal.throwIfAborted();
    const name = fillPattern(pattern, parameters);
    return new LiveChannel(name, this.core, this.#life.signal, this.#contract?.[pattern] ?? {});
  }

  onState(onState: (state: ClientState) => void): Stoppable {
    return this.#listen('state', onState);
  }

  on<Name extends keyof ClientEvents>(event: Name, onEvent: (value: ClientEvents[Name]) => void): Stoppable {
    return this.#listen(event, onEvent);
  }

  reconnect(): void {
    if (!this.#life.signal.aborted) this.core.reconnect();
  }

  close(): void {
    const { signal } = this.#life;
    if (signal.aborted) return;
    this.#life.abort(new TidewayError('disconnected', 'the client was closed'));
    this.core.outbox.abandon(signal);
    this.#onClose();
    this.core.listeners.delete(this.#listener);
  }

  #listen<Name extends keyof Heard>(event: Name, listener: (value: Heard[Name]) => void): Stoppable {
    const listeners = this.#listeners[event];
    listeners.add(listener);
    return stoppable(() => listeners.delete(listener));
  }

  #tell<Name extends keyof Heard>(event: Name, value: Heard[Name]): void {
    for (const listener of this.#listeners[event]) callUser(this.core.report, () => listener(value));
  }
}
