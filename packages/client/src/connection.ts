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
import type { Answer, ErrorFrame, Request } from './answer.ts';
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
  /** True while frames can be sent, be it only behind a `hello` that has no answer yet. */
  isOpen = false;
  isLogDown = false;
  readonly #options: ConnectionOptions;
  readonly #silence: Silence;
  readonly #renewal: TokenRenewal;
  #phase: Phase = 'stopped';
  #link: Link | undefined;
  /** The one that is being made; while `live`, the link that the other is left for (CLS-2). */
  #next: Link | undefined;
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
    this.#options = options;
    this.#silence = new Silence(env, () => this.#lost());
    this.#renewal = new TokenRenewal(env, credentials, this, events);
  }

  get phase(): Phase {
    return this.#phase;
  }

  /** Connects now, whatever it was waiting for. */
  start(): void {
    if (this.#phase === 'waiting' || this.#phase === 'stopped') this.#try();
  }

  stop(): void {
    this.#cancelTimer();
    this.#drop();
    this.#setPhase('stopped');
  }

  restart(delayMs: number): void {
    this.#drop();
    this.#setPhase('waiting');
    this.#tryIn(delayMs);
  }

  /** The machine woke or the network is back: connect at once, or see whether the link still lives. */
  wake(): void {
    if (this.#phase === 'waiting') this.#try();
    if (this.#phase !== 'live') return;
    this.#silence.probe();
    this.#link?.probe();
  }

  send(frame: ClientFrame, payload?: Payload): void {
    if (this.isOpen) this.#link?.send(frame, payload);
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

  /** A session that is there goes on until the new link is open, however many attempts that takes (CLS-2). */
  #try(): void {
    this.#attempt++;
    if (this.#phase !== 'live') this.#setPhase('opening');
    this.#withToken(this.#options.credentials.current(), (token) => {
      const onClose = (close?: number) => {
        if (link === this.#next && this.#phase === 'live') this.#failed();
        else this.#lost(close);
      };
      this.#tryIn(OPEN_MS, onClose);
      const link = this.#options.transports.open({
        onOpen: () => {
          this.#next = undefined;
          this.#drop();
          this.#phase = 'opening';
          this.#link = link;
          this.#sayHello(token, false);
        },
        onFrame: (frame, payload) => this.#onFrame(frame, payload),
        onClose,
      });
      this.#next = link;
    });
  }

  /** Goes on with a token unless the attempt is over by then; without one the attempt has failed. */
  #withToken(pending: Promise<string | undefined>, go: (token: string | undefined) => void): void {
    const attempt = this.#attempt;
    pending.then(
      (token) => {
        if (attempt === this.#attempt) go(token);
      },
      (error: unknown) => {
        if (attempt !== this.#attempt) return;
        this.#options.events.onError(error);
        this.#failed();
      },
    );
  }

  /** An attempt has failed, and what it left behind ends; a session does not. */
  #failed(): void {
    const delayMs = backoffMs(this.#options.env, ++this.#failures);
    this.#next?.close();
    if (this.#phase === 'live') this.#tryIn(delayMs);
    else this.restart(delayMs);
  }

  #sayHello(token: string | undefined, isSecond: boolean): void {
    this.#lastError = undefined;
    this.isOpen = true;
    this.request(
      { op: 'hello', instance: this.#options.instance, client: 'tideway-js/0.1', ...(token && { token }) },
      (answer) => {
        if (answer.op === 'error') this.#onHelloRefused(answer, isSecond);
        // An `ok` of `hello` has these members (HEL-2).
        else this.#onHello(answer as HelloOk);
      },
    );
    this.#options.events.onOpen();
  }

  #onHello(hello: HelloOk): void {
    this.#cancelTimer();
    this.channelsPerFrame = hello.limits.channelsPerFrame;
    this.#liveSinceMs = this.#options.env.monotonicMs();
    this.#phase = 'live';
    this.#silence.watch(hello.pingMs + SILENCE_MS);
    this.#renewal.accepted(hello.expiresInMs);
    this.#options.events.onSession(hello);
    this.#options.events.onChange();
  }

  /** The link stays and `hello` may be said again (HEL-3): once, with another token (CLI-7). */
  #onHelloRefused(error: ErrorFrame, isSecond: boolean): void {
    if (codes[error.code]?.action === 'refresh' && this.#options.credentials.isRenewable && !isSecond) {
      this.isOpen = false;
      this.#void();
      this.#withToken(this.#options.credentials.renew('rejected'), (token) => this.#sayHello(token, true));
    } else if (error.retryMs === undefined) this.#refused(errorOf(error), 0);
    else this.#lost(undefined, error.retryMs);
  }

  #onFrame(frame: ServerFrame, payload: Payload | undefined): void {
    this.#silence.heard();
    this.#options.transports.worked();
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
        this.isLogDown = frame.state === 'down';
        this.#options.events.onChange();
        return;
      case 'drain':
        this.#tryIn(randomFraction(this.#options.env) * frame.withinMs);
        return;
      default:
        this.#options.events.onFrame(frame, payload);
    }
  }

  /** Of the connection itself, or of a frame that has no answer. What this client mends by itself is nobody's worry. */
  #onError(frame: ErrorFrame): void {
    this.#lastError = errorOf(frame);
    if (codes[frame.code]?.action === 'never') this.#options.events.onError(this.#lastError);
  }

  /** 1006 stands for the number of a link that broke without one. */
  #lost(close = 1006, atLeastMs = 0): void {
    const wasLive = this.#phase === 'live';
    const code = codeOfClose(close);
    this.#drop();
    if (code !== undefined && codes[code].action === 'refresh') this.#options.credentials.refused();
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
      this.#options.transports.failed();
    } else if (this.#options.env.monotonicMs() - this.#liveSinceMs >= FORGET_MS) this.#failures = 0;
    this.restart(Math.max(atLeastMs, reconnectDelayMs(this.#options.env, this.#failures, close)));
  }

  #refused(error: TidewayError, close: number): void {
    this.stop();
    this.#options.events.onRefused(error, close);
  }

  /** Tries, or does something else, after so long, and nothing that was to come before. */
  #tryIn(delayMs: number, callback = () => this.#try()): void {
    this.#cancelTimer();
    this.#cancelTimer = this.#options.env.setTimer(delayMs, callback);
  }

  #drop(): void {
    this.#attempt++;
    this.#silence.stop();
    this.#renewal.stop();
    this.#link?.close();
    this.#next?.close();
    this.#link = this.#next = undefined;
    this.isOpen = false;
    this.isLogDown = false;
    this.#void();
  }

  #void(): void {
    this.#requests.clear();
    this.#options.events.onLost();
  }

  #setPhase(phase: Phase): void {
    this.#phase = phase;
    this.#options.events.onChange();
  }
}
