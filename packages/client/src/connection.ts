/**
 * One life-long connection to a server, made of many links: it connects, says hello, answers pings, notices silence
 * and connects again (PROTOCOL.md §12). It knows nothing of channels; what has to be asked again on a new link is the
 * business of those who hear its events.
 */
import {
  type ClientFrame,
  codeOfClose,
  codes,
  type HelloOk,
  isFinalClose,
  type ServerFrame,
  TidewayError,
} from '@tideway/protocol';
import type { Credentials } from './credentials.ts';
import { type Env, randomFraction } from './env.ts';
import { errorOf, type Link, type Payload } from './link.ts';
import { backoffMs, reconnectDelayMs } from './reconnect-delay.ts';
import { Silence } from './silence.ts';
import { TokenRenewal } from './token-renewal.ts';
import type { Transports } from './transports.ts';

/** How long a link may take from its start to the answer of `hello`: a server waits no longer either (HEL-3). */
const OPEN_MS = 10_000;
/** Silence that is longer than the server's ping interval by this means that it is gone. */
const SILENCE_MS = 10_000;
/** A session that lived so long makes earlier failures forgotten. */
const FORGET_MS = 3_000;

type ErrorFrame = Extract<ServerFrame, { op: 'error' }>;
export type Answer = Extract<ServerFrame, { op: 'ok' }> | ErrorFrame;
/** A frame that is answered, before its id is known. */
export type Request = ClientFrame extends infer F ? (F extends { readonly id: number } ? Omit<F, 'id'> : never) : never;

export interface ConnectionEvents {
  /** A link is open and `hello` under way: what may stand behind it (HEL-3) can be sent. */
  onOpen(): void;
  onSession(hello: HelloOk): void;
  /** Requests without answer are void, subscriptions are gone. */
  onLost(): void;
  onFrame(frame: ServerFrame, payload: Payload | undefined): void;
  /** The server will never take what this client sends; `close` says why. */
  onRefused(error: TidewayError, close: number): void;
  onChange(): void;
  onError(error: unknown): void;
}

export interface ConnectionOptions {
  readonly env: Env;
  readonly transports: Transports;
  readonly credentials: Credentials;
  /** Random, one per SDK object: what one instance signals is not echoed to it (SIG-2). */
  readonly instance: string;
  readonly events: ConnectionEvents;
}

/** `waiting`: for the next attempt; `opening`: up to the answer of `hello`; `stopped`: until the application acts. */
export type Phase = 'waiting' | 'opening' | 'live' | 'stopped';

export class Connection {
  /** So many may stand in one `subscribe`: the server's, or the protocol's own before it has said (LIM-1). */
  channelsPerFrame = 100;
  readonly #env: Env;
  readonly #transports: Transports;
  readonly #credentials: Credentials;
  readonly #instance: string;
  readonly #events: ConnectionEvents;
  readonly #silence: Silence;
  readonly #renewal: TokenRenewal;
  #phase: Phase = 'stopped';
  #link: Link | undefined;
  #isOpen = false;
  #isLogDown = false;
  #nextId = 1;
  readonly #requests = new Map<number, (answer: Answer) => void>();
  #failures = 0;
  /** Counts attempts, so that an answer to an earlier one is known as such. */
  #attempt = 0;
  #liveSinceMs = 0;
  #lastError: TidewayError | undefined;
  #cancelTimer = () => {};

  constructor(options: ConnectionOptions) {
    const { env, credentials, events } = options;
    this.#env = env;
    this.#transports = options.transports;
    this.#credentials = credentials;
    this.#instance = options.instance;
    this.#events = events;
    this.#silence = new Silence(env, () => this.#lost());
    this.#renewal = new TokenRenewal(env, credentials, {
      request: (request, onAnswer) => this.request(request, onAnswer),
      onUserChanged: () => this.restart(0),
      onError: (error) => events.onError(error),
    });
  }

  get phase(): Phase {
    return this.#phase;
  }

  get isLogDown(): boolean {
    return this.#isLogDown;
  }

  /** True while frames can be sent, be it only behind a `hello` that has no answer yet. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Connects now, whatever it was waiting for. */
  start(): void {
    if (this.#phase === 'waiting' || this.#phase === 'stopped') this.#try();
  }

  stop(): void {
    this.#drop();
    this.#setPhase('stopped');
  }

  restart(delayMs: number): void {
    this.#drop();
    this.#wait(delayMs);
  }

  /** The machine woke or the network is back: connect at once, or see whether the link still lives. */
  wake(): void {
    if (this.#phase === 'waiting') this.#try();
    if (this.#phase !== 'live') return;
    this.#silence.probe();
    this.#link?.probe();
  }

  send(frame: ClientFrame, payload?: Payload): void {
    if (this.#isOpen) this.#link?.send(frame, payload);
  }

  /** Sends a frame that is answered; the callback is forgotten when the link is lost. */
  request(request: Request, onAnswer: (answer: Answer) => void, payload?: Payload): void {
    const id = this.#nextId++;
    this.#requests.set(id, onAnswer);
    this.#link?.send({ ...request, id }, payload);
  }

  /** The server no longer takes the token. */
  renewToken(): void {
    if (this.#phase === 'live') this.#renewal.renew('rejected');
  }

  #try(): void {
    const attempt = ++this.#attempt;
    this.#cancelTimer();
    this.#setPhase('opening');
    this.#withToken(this.#credentials.current(), attempt, (token) => {
      this.#lastError = undefined;
      this.#cancelTimer = this.#env.setTimer(OPEN_MS, () => this.#lost());
      this.#link = this.#transports.open({
        onOpen: () => this.#sayHello(token, false),
        onFrame: (frame, payload) => this.#onFrame(frame, payload),
        onClose: (close) => this.#lost(close),
      });
    });
  }

  /** Goes on with a token unless the attempt is over by then; without one the attempt has failed. */
  #withToken(pending: Promise<string | undefined>, attempt: number, go: (token: string | undefined) => void): void {
    pending.then(
      (token) => {
        if (attempt === this.#attempt) go(token);
      },
      (error: unknown) => {
        if (attempt !== this.#attempt) return;
        this.#events.onError(error);
        this.#drop();
        this.#wait(backoffMs(this.#env, ++this.#failures));
      },
    );
  }

  #sayHello(token: string | undefined, isSecond: boolean): void {
    this.#isOpen = true;
    this.request(
      { op: 'hello', instance: this.#instance, client: 'tideway-js/0.1', ...(token && { token }) },
      (answer) => {
        if (answer.op === 'error') this.#onHelloRefused(answer, isSecond);
        // An `ok` of `hello` has these members (HEL-2).
        else this.#onHello(answer as HelloOk);
      },
    );
    this.#events.onOpen();
  }

  #onHello(hello: HelloOk): void {
    this.#cancelTimer();
    this.channelsPerFrame = hello.limits.channelsPerFrame;
    this.#liveSinceMs = this.#env.monotonicMs();
    this.#phase = 'live';
    this.#silence.watch(hello.pingMs + SILENCE_MS);
    this.#renewal.accepted(hello.expiresInMs);
    this.#events.onSession(hello);
    this.#events.onChange();
  }

  /** The link stays and `hello` may be said again (HEL-3): once, with another token (CLI-7). */
  #onHelloRefused(error: ErrorFrame, isSecond: boolean): void {
    if (codes[error.code]?.action === 'refresh' && this.#credentials.isRenewable && !isSecond) {
      this.#isOpen = false;
      this.#void();
      this.#withToken(this.#credentials.renew('rejected'), this.#attempt, (token) => this.#sayHello(token, true));
    } else if (error.retryMs === undefined) this.#refused(errorOf(error), 0);
    else this.#lost(undefined, error.retryMs);
  }

  #onFrame(frame: ServerFrame, payload: Payload | undefined): void {
    this.#silence.heard();
    this.#transports.worked();
    switch (frame.op) {
      case 'ok':
      case 'error': {
        const onAnswer = this.#requests.get(frame.id ?? 0);
        this.#requests.delete(frame.id ?? 0);
        if (frame.op === 'error' && frame.id === undefined) this.#onError(frame);
        else onAnswer?.(frame);
        return;
      }
      case 'ping':
        this.send({ op: 'pong' });
        return;
      case 'log':
        this.#isLogDown = frame.state === 'down';
        this.#events.onChange();
        return;
      case 'drain':
        this.#cancelTimer();
        this.#cancelTimer = this.#env.setTimer(randomFraction(this.#env) * frame.withinMs, () => this.restart(0));
        return;
      default:
        this.#events.onFrame(frame, payload);
    }
  }

  /** Of the connection itself, or of a frame that has no answer. What this client mends by itself is nobody's worry. */
  #onError(frame: ErrorFrame): void {
    this.#lastError = errorOf(frame);
    if (codes[frame.code]?.action === 'never') this.#events.onError(this.#lastError);
  }

  /** 1006 stands for the number of a link that broke without one. */
  #lost(close = 1006, atLeastMs = 0): void {
    const wasLive = this.#phase === 'live';
    const code = codeOfClose(close);
    this.#drop();
    if (code !== undefined && codes[code].action === 'refresh') this.#credentials.refused();
    if (isFinalClose(close)) {
      const message = `the server closed the connection with ${close}`;
      this.#refused(
        this.#lastError ?? new TidewayError(code ?? (close === 1009 ? 'too_large' : 'bad_frame'), message),
        close,
      );
      return;
    }
    if (!wasLive) {
      this.#failures++;
      this.#transports.failed();
    } else if (this.#env.monotonicMs() - this.#liveSinceMs >= FORGET_MS) this.#failures = 0;
    this.#wait(Math.max(atLeastMs, reconnectDelayMs(this.#env, this.#failures, close)));
  }

  #refused(error: TidewayError, close: number): void {
    this.stop();
    this.#events.onRefused(error, close);
  }

  #wait(delayMs: number): void {
    this.#setPhase('waiting');
    this.#cancelTimer = this.#env.setTimer(delayMs, () => this.#try());
  }

  #drop(): void {
    this.#attempt++;
    this.#cancelTimer();
    this.#silence.stop();
    this.#renewal.stop();
    this.#link?.close();
    this.#link = undefined;
    this.#isOpen = false;
    this.#isLogDown = false;
    this.#void();
  }

  #void(): void {
    this.#requests.clear();
    this.#events.onLost();
  }

  #setPhase(phase: Phase): void {
    this.#phase = phase;
    this.#events.onChange();
  }
}
