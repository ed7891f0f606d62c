/**
 * One life-long connection to a server, made of many links: it connects, says hello, answers pings, notices silence,
 * renews the token and connects again (PROTOCOL.md §6). It knows nothing of channels; what has to be asked again on a
 * new link is the business of those who hear its events.
 */
import {
  codeOfClose,
  codes,
  type AnnouncedLimits,
  type ClientFrame,
  type HelloOk,
  isFinalClose,
  limits,
  type ServerFrame,
  TidewayError,
  timing,
} from '@tideway/protocol';
import { type Credentials, marginMs } from './credentials.ts';
import { type Env, randomFraction } from './env.ts';
import { CLOSE_ABNORMAL, type Link, type Payload } from './link.ts';
import { reconnectDelayMs } from './reconnect-delay.ts';
import type { Transports } from './transports.ts';

/** How long a link may take from its start to the answer of `hello`. */
const OPEN_MS = timing.helloMs;
/** Silence that is longer than the server's ping interval by this means that it is gone. */
const SILENCE_MS = 10_000;
/** How long a probed link may stay silent. */
const PROBE_MS = 5_000;
/** A session that lived so long makes earlier failures forgotten. */
const FORGET_MS = 3_000;
/** How long after a failed renewal of the token the next is tried. */
const RENEW_AGAIN_MS = 5_000;

export type Answer = Extract<ServerFrame, { op: 'ok' | 'error' }>;
type Ok = Extract<ServerFrame, { op: 'ok' }>;
/** A frame that is answered, before its id is known. */
export type Request = ClientFrame extends infer F ? (F extends { readonly id: number } ? Omit<F, 'id'> : never) : never;

export interface ConnectionEvents {
  /** A link is open and `hello` under way: what may stand behind it (SUB-17) can be sent. */
  onOpen(): void;
  /** `hello` was answered. */
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
  /** Random, one per SDK object: what one instance signals is not echoed to it. */
  readonly instance: string;
  readonly events: ConnectionEvents;
}

/** `waiting`: for the next attempt; `opening`: up to the answer of `hello`; `stopped`: until the application acts. */
export type Phase = 'waiting' | 'opening' | 'live' | 'stopped';

export class Connection {
  readonly #env: Env;
  readonly #transports: Transports;
  readonly #credentials: Credentials;
  readonly #instance: string;
  readonly #events: ConnectionEvents;
  #phase: Phase = 'stopped';
  #link: Link | undefined;
  #isOpen = false;
  #hello: HelloOk | undefined;
  #isLogDown = false;
  #nextId = 1;
  #requests = new Map<number, (answer: Answer) => void>();
  #failures = 0;
  /** Counts attempts, so that an answer to an earlier one is known as such. */
  #attempt = 0;
  #lastFrameMs = 0;
  #liveSinceMs = 0;
  #lastError: TidewayError | undefined;
  #cancelAttempt = () => {};
  #cancelSilence = () => {};
  #cancelRenewal = () => {};

  constructor(options: ConnectionOptions) {
    this.#env = options.env;
    this.#transports = options.transports;
    this.#credentials = options.credentials;
    this.#instance = options.instance;
    this.#events = options.events;
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

  get hello(): HelloOk | undefined {
    return this.#hello;
  }

  get limits(): AnnouncedLimits {
    return this.#hello?.limits ?? { ...limits, ridWindowMs: Number.POSITIVE_INFINITY };
  }

  /** Connects now, whatever it was waiting for. */
  start(): void {
    if (this.#phase === 'waiting' || this.#phase === 'stopped') this.#try();
  }

  stop(): void {
    this.#drop();
    this.#setPhase('stopped');
  }

  /** Leaves this link and takes another. */
  restart(delayMs: number): void {
    this.#drop();
    this.#wait(delayMs);
  }

  /** The machine woke or the network is back: connect at once, or see whether the link still lives. */
  wake(): void {
    if (this.#phase === 'waiting') this.#try();
    if (this.#phase !== 'live') return;
    const since = this.#lastFrameMs;
    this.#link?.probe();
    this.#cancelSilence();
    this.#cancelSilence = this.#env.setTimer(PROBE_MS, () => {
      if (this.#lastFrameMs === since) this.#lost(CLOSE_ABNORMAL);
      else this.#watch();
    });
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

  /** Another token for the session that lives, because the old one ends or was refused. */
  renewToken(reason: 'expiring' | 'rejected'): void {
    const attempt = this.#attempt;
    this.#cancelRenewal();
    this.#credentials.renew(reason).then(
      (token) => {
        if (attempt !== this.#attempt || this.#phase !== 'live' || token === undefined) return;
        this.request({ op: 'token', token }, (answer) => this.#onRenewed(answer));
      },
      (error: unknown) => {
        this.#events.onError(error);
        if (attempt === this.#attempt) this.#renewIn(RENEW_AGAIN_MS);
      },
    );
  }

  #onRenewed(answer: Answer): void {
    if (answer.op === 'ok') {
      this.#credentials.accepted(answer.expiresInMs);
      this.#planRenewal(answer.expiresInMs);
    } else if (answer.code === 'user_changed') {
      // The application speaks for somebody else now: that takes a session of its own.
      this.restart(0);
    } else {
      this.#events.onError(errorOf(answer));
      this.#credentials.refused();
    }
  }

  #try(): void {
    const attempt = ++this.#attempt;
    this.#cancelAttempt();
    this.#setPhase('opening');
    this.#credentials.current().then(
      (token) => {
        if (attempt === this.#attempt) this.#open(token);
      },
      (error: unknown) => {
        if (attempt !== this.#attempt) return;
        this.#events.onError(error);
        this.#failures++;
        this.#wait(reconnectDelayMs(this.#env, this.#failures, CLOSE_ABNORMAL));
      },
    );
  }

  #open(token: string | undefined): void {
    this.#lastError = undefined;
    this.#cancelAttempt = this.#env.setTimer(OPEN_MS, () => this.#lost(CLOSE_ABNORMAL));
    this.#link = this.#transports.open({
      onOpen: () => {
        this.#isOpen = true;
        this.#sayHello(token, false);
      },
      onFrame: (frame, payload) => this.#onFrame(frame, payload),
      onClose: (close) => this.#lost(close),
    });
  }

  #sayHello(token: string | undefined, isSecond: boolean): void {
    this.request(
      { op: 'hello', instance: this.#instance, client: 'tideway-js/0.1', ...(token === undefined ? {} : { token }) },
      (answer) => {
        if (answer.op === 'ok') this.#onHello(answer);
        else this.#onHelloRefused(answer, isSecond);
      },
    );
    this.#events.onOpen();
  }

  #onHello(ok: Ok): void {
    // An `ok` of `hello` has these members (HEL-2).
    const hello = ok as Ok & HelloOk;
    this.#cancelAttempt();
    this.#hello = hello;
    this.#liveSinceMs = this.#env.monotonicMs();
    this.#credentials.accepted(hello.expiresInMs);
    this.#planRenewal(hello.expiresInMs);
    this.#watch();
    this.#phase = 'live';
    this.#events.onSession(hello);
    this.#events.onChange();
  }

  /** The connection stays and `hello` may be said again (HEL-4): once, with another token. */
  #onHelloRefused(error: Extract<ServerFrame, { op: 'error' }>, isSecond: boolean): void {
    const refusal = errorOf(error);
    if (codes[error.code]?.action !== 'refresh' || !this.#credentials.isRenewable || isSecond) {
      this.#lastError = refusal;
      if (error.retryMs === undefined) this.#refused(refusal, 0);
      else this.#lost(CLOSE_ABNORMAL, error.retryMs);
      return;
    }
    const attempt = this.#attempt;
    this.#isOpen = false;
    this.#void();
    this.#credentials.renew('rejected').then(
      (token) => {
        if (attempt !== this.#attempt || this.#link === undefined) return;
        this.#isOpen = true;
        this.#sayHello(token, true);
      },
      (reason: unknown) => {
        this.#events.onError(reason);
        if (attempt === this.#attempt) this.#lost(CLOSE_ABNORMAL);
      },
    );
  }

  #onFrame(frame: ServerFrame, payload: Payload | undefined): void {
    this.#lastFrameMs = this.#env.monotonicMs();
    this.#transports.worked();
    switch (frame.op) {
      case 'ok':
      case 'error': {
        const onAnswer = frame.id === undefined ? undefined : this.#requests.get(frame.id);
        if (frame.id !== undefined) this.#requests.delete(frame.id);
        if (onAnswer !== undefined) onAnswer(frame);
        else if (frame.op === 'error' && frame.id === undefined) {
          this.#lastError = errorOf(frame);
          this.#events.onError(this.#lastError);
        }
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
        this.#cancelAttempt();
        this.#cancelAttempt = this.#env.setTimer(randomFraction(this.#env) * frame.withinMs, () => this.restart(0));
        return;
      default:
        this.#events.onFrame(frame, payload);
    }
  }

  /** The link is gone. */
  #lost(close: number, atLeastMs = 0): void {
    const wasLive = this.#phase === 'live';
    const livedMs = this.#env.monotonicMs() - this.#liveSinceMs;
    this.#drop();
    if (codeOfClose(close) !== undefined && codes[codeOfClose(close) ?? 'internal'].action === 'refresh') {
      this.#credentials.refused();
    }
    if (isFinalClose(close)) {
      const code = codeOfClose(close) ?? (close === 1009 ? 'too_large' : 'bad_frame');
      this.#refused(this.#lastError ?? new TidewayError(code, `the server closed the connection: ${close}`), close);
      return;
    }
    if (!wasLive) {
      this.#failures++;
      this.#transports.failed();
    } else if (livedMs >= FORGET_MS) this.#failures = 0;
    this.#wait(Math.max(atLeastMs, reconnectDelayMs(this.#env, this.#failures, close)));
  }

  #refused(error: TidewayError, close: number): void {
    this.#drop();
    this.#phase = 'stopped';
    this.#events.onRefused(error, close);
    this.#events.onChange();
  }

  #wait(delayMs: number): void {
    this.#setPhase('waiting');
    this.#cancelAttempt = this.#env.setTimer(delayMs, () => this.#try());
  }

  #drop(): void {
    this.#attempt++;
    this.#cancelAttempt();
    this.#cancelSilence();
    this.#cancelRenewal();
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

  /** Looks for silence without touching a timer at each frame. */
  #watch(): void {
    const allowedMs = (this.#hello?.pingMs ?? timing.pingMs) + SILENCE_MS;
    const leftMs = this.#lastFrameMs + allowedMs - this.#env.monotonicMs();
    if (leftMs <= 0) {
      this.#lost(CLOSE_ABNORMAL);
      return;
    }
    this.#cancelSilence();
    this.#cancelSilence = this.#env.setTimer(leftMs, () => this.#watch());
  }

  #planRenewal(expiresInMs: number | undefined): void {
    if (expiresInMs === undefined || !this.#credentials.isRenewable) return;
    const margin = marginMs(expiresInMs);
    this.#renewIn(Math.max(0, expiresInMs - margin - randomFraction(this.#env) * margin));
  }

  #renewIn(delayMs: number): void {
    this.#cancelRenewal();
    this.#cancelRenewal = this.#env.setTimer(delayMs, () => this.renewToken('expiring'));
  }
}

export function errorOf(frame: Extract<ServerFrame, { op: 'error' }>): TidewayError {
  return new TidewayError(frame.code, frame.message, { ref: frame.ref, retryMs: frame.retryMs });
}
