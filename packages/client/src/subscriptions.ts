/**
 * All channels that one connection follows: asks for them in lists, on every new link again from their places, lets go
 * of those that nobody reads any more, and now and then tells the server what went wrong (CLI-3, CLS-4).
 */
import type { ServerFrame, SubscribeItem } from '@tideway/protocol';
import type { Answer } from './answer.ts';
import type { Connection } from './connection.ts';
import type { Env } from './env.ts';
import type { Payload } from './link.ts';
import { backoffMs } from './reconnect-delay.ts';
import { Subscription, type SubscriptionOwner } from './subscription.ts';

/** A channel that nobody reads is followed for so long: pages that change hands keep their subscription. */
const LINGER_MS = 5_000;
/** How often at most the server hears of gaps and duplicates. */
const REPORT_MS = 30_000;
/** `limits.reported`: the whole table would be more than this page of code. */
const REPORTED_MAX = 1e6;

export class Subscriptions implements SubscriptionOwner {
  readonly #env: Env;
  readonly #connection: Connection;
  readonly onChange: () => void;
  readonly onError: (error: unknown) => void;
  readonly #channels = new Map<string, Subscription>();
  readonly #wanting = new Set<Subscription>();
  readonly #timers = new Map<Subscription, () => void>();
  #isPlanned = false;
  #cancelReport: (() => void) | undefined;

  constructor(env: Env, connection: Connection, owner: Pick<SubscriptionOwner, 'onChange' | 'onError'>) {
    this.#env = env;
    this.#connection = connection;
    this.onChange = owner.onChange;
    this.onError = owner.onError;
  }

  /** True when every reader has all that there was when it began. */
  get isLive(): boolean {
    for (const subscription of this.#channels.values()) if (!subscription.isLive) return false;
    return true;
  }

  /** The subscription of a channel; made where there is none. */
  of(channel: string): Subscription {
    let subscription = this.#channels.get(channel);
    if (subscription === undefined) {
      subscription = new Subscription(channel, this);
      this.#channels.set(channel, subscription);
    }
    return subscription;
  }

  /** A link is open: everything in use is asked for from its place, in as few frames as may be. */
  onOpen(): void {
    for (const subscription of this.#channels.values()) {
      if (subscription.isUsed) this.#wanting.add(subscription);
      else this.#forget(subscription);
    }
    this.#flush();
  }

  onLost(): void {
    for (const subscription of this.#channels.values()) subscription.onLost();
  }

  close(): void {
    for (const cancel of this.#timers.values()) cancel();
    this.#cancelReport?.();
  }

  onFrame(frame: ServerFrame, payload: Payload | undefined): void {
    if (!('channel' in frame) || frame.channel === undefined) return;
    const subscription = this.#channels.get(frame.channel);
    if (subscription === undefined) return;
    switch (frame.op) {
      case 'record':
        return subscription.onRecord(frame, payload ?? '');
      case 'mark':
        return subscription.onMark(frame);
      case 'gap':
        return subscription.onGap(frame);
      case 'signal':
        for (const listener of subscription.listeners) listener(frame, payload);
        return;
      case 'closed':
        subscription.onEnded();
        return;
      case 'unsubscribed':
        subscription.onUnsubscribed({
          code: frame.code ?? 'internal',
          message: `the server let go of ${frame.channel}`,
        });
        return;
      default:
        return;
    }
  }

  onWanting(subscription: Subscription, failures = 0, atLeastMs = 0): void {
    if (failures > 0) {
      const delayMs = atLeastMs + backoffMs(this.#env, failures);
      this.#setTimer(subscription, delayMs, () => this.onWanting(subscription));
      return;
    }
    this.#wanting.add(subscription);
    if (this.#isPlanned) return;
    this.#isPlanned = true;
    this.#env.soon(() => {
      this.#isPlanned = false;
      this.#flush();
    });
  }

  onIdle(subscription: Subscription, isFull: boolean): void {
    if (isFull) this.#leave(subscription);
    else this.#setTimer(subscription, LINGER_MS, () => this.#leaveUnused(subscription));
  }

  onTokenRefused(): void {
    this.#connection.renewToken();
  }

  onBehind(): void {
    this.#connection.restart(backoffMs(this.#env, 2));
  }

  onAnomaly(): void {
    this.#cancelReport ??= this.#env.setTimer(REPORT_MS, () => this.#report());
  }

  #flush(): void {
    if (!this.#connection.isOpen) return;
    const asked: { readonly subscription: Subscription; readonly item: SubscribeItem }[] = [];
    for (const subscription of this.#wanting) {
      const from = subscription.ask();
      if (from !== undefined) asked.push({ subscription, item: { channel: subscription.channel, from } });
    }
    this.#wanting.clear();
    const perFrame = this.#connection.channelsPerFrame;
    for (let at = 0; at < asked.length; at += perFrame) {
      const part = asked.slice(at, at + perFrame);
      const request = { op: 'subscribe', single: false, channels: part.map(({ item }) => item) } as const;
      this.#connection.request(request, (answer) => {
        for (const [index, { subscription }] of part.entries()) subscription.onAnswer(itemOf(answer, index));
      });
    }
  }

  /** Nobody reads: after a while the server need not send. */
  #leaveUnused(subscription: Subscription): void {
    if (subscription.isUsed) return;
    this.#leave(subscription);
    this.#forget(subscription);
  }

  #leave(subscription: Subscription): void {
    if (subscription.isFollowed && this.#connection.isOpen) {
      this.#connection.request({ op: 'unsubscribe', channel: subscription.channel }, () => {});
    }
    subscription.onLeft();
  }

  #forget(subscription: Subscription): void {
    this.#timers.get(subscription)?.();
    this.#timers.delete(subscription);
    this.#channels.delete(subscription.channel);
  }

  #setTimer(subscription: Subscription, delayMs: number, callback: () => void): void {
    this.#timers.get(subscription)?.();
    this.#timers.set(
      subscription,
      this.#env.setTimer(delayMs, () => {
        this.#timers.delete(subscription);
        callback();
      }),
    );
  }

  #report(): void {
    this.#cancelReport = undefined;
    for (const subscription of this.#channels.values()) {
      const { channel, lastTime } = subscription;
      if (subscription.gaps + subscription.duplicates === 0) continue;
      const gaps = Math.min(subscription.gaps, REPORTED_MAX);
      const duplicates = Math.min(subscription.duplicates, REPORTED_MAX);
      const lag = lastTime && { lagMs: Math.max(0, this.#env.now() - lastTime) };
      this.#connection.send({ op: 'report', channel, gaps, duplicates, ...lag });
      subscription.gaps = 0;
      subscription.duplicates = 0;
    }
  }
}

function itemOf(answer: Answer, index: number): Parameters<Subscription['onAnswer']>[0] {
  if (answer.op === 'error') return answer;
  return answer.channels?.[index] ?? { code: 'internal', message: 'the server gave no answer' };
}
