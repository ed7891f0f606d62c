/**
 * The hub: who follows what. Owns the live channels and the sessions; what happens at the end of a tick is `tick.ts`,
 * what one frame of a client does `commands.ts`.
 */
import { TidewayError, type Code } from '@tideway/protocol';
import type { Identity } from '../auth/identity.ts';
import type { Turnstile } from '../auth/turnstile.ts';
import { randomId, type Env } from '../env.ts';
import type { Page } from '../view/view.ts';
import { Budget } from './budget.ts';
import { CatchUp } from './catch-up.ts';
import { ChannelBackbones, type ChannelBackbonesOptions } from './channel-backbones.ts';
import type { Connection } from './connection.ts';
import { HubFigures } from './figures.ts';
import { LiveChannel, type LiveChannelHost } from './live-channel.ts';
import { LogNews } from './log-news.ts';
import type { Measures } from './measures.ts';
import type { Policy } from './policy.ts';
import { RecordLimit } from './record-limit.ts';
import { RingBudget } from './ring-budget.ts';
import { Session, type SessionHost } from './session.ts';
import { handOutSignal, type SentSignal } from './signal.ts';
import { Slices } from './slices.ts';
import { Subscription } from './subscription.ts';
import { Tick } from './tick.ts';
import { UserSessions } from './user-sessions.ts';

/** Reads for those who begin to follow: like all others they must not make a long line before the log's writes. */
export const STARTS_AT_ONCE = 2;

export interface HubOptions extends ChannelBackbonesOptions {
  readonly outboxBytesMax: number;
  readonly outboxBytesTotal: number;
  /** Lets those in who must read the view to find out where they start, `STARTS_AT_ONCE`. */
  readonly starts: Turnstile;
  readonly ringBytesTotal: number;
  readonly onTrouble: (error: unknown) => void;
  readonly measures?: Measures;
}

export class Hub implements LiveChannelHost, SessionHost {
  readonly env: Env;
  readonly policy: Policy;
  /** Where records are read and go. */
  readonly backbones: ChannelBackbones;
  readonly recordLimit: RecordLimit;
  readonly starts: Turnstile;
  readonly slices: Slices;
  readonly figures = new HubFigures();
  readonly sessions = new Set<Session>();
  readonly users = new UserSessions();
  readonly outboxBytesMax: number;
  readonly budget: Budget;
  readonly rings: RingBudget;
  readonly measures: Measures | undefined;
  /** Who is told that the log is down. */
  readonly log: LogNews;
  readonly #channels = new Map<string, { readonly live: LiveChannel; readonly unfollow: () => void }>();
  readonly #catchUp: CatchUp;
  readonly #tick: Tick;
  #subscriptions = 0;

  constructor(options: HubOptions) {
    this.env = options.env;
    this.policy = options.policy;
    this.backbones = new ChannelBackbones(options, this.figures);
    this.recordLimit = new RecordLimit(options.policy, options.durable);
    this.starts = options.starts;
    this.slices = new Slices(options.env);
    this.outboxBytesMax = options.outboxBytesMax;
    this.budget = new Budget(options.outboxBytesTotal);
    this.rings = new RingBudget(options.ringBytesTotal, () => this.liveChannels());
    this.measures = options.measures;
    this.log = new LogNews({
      sessions: this.sessions,
      liveChannels: () => this.liveChannels(),
      partitionOf: (channel) => this.backbones.partitionOf(channel),
    });
    this.#tick = new Tick({
      env: options.env,
      onHandedOut: (channel) => this.#endIfClosed(channel),
      measures: options.measures,
    });
    this.#catchUp = new CatchUp({
      env: options.env,
      slices: this.slices,
      viewOf: (channel) => this.backbones.view(channel),
      rings: this.rings,
      onLive: (subscription) => this.#onLive(subscription),
      onTrouble: options.onTrouble,
    });
  }

  get channels(): number {
    return this.#channels.size;
  }

  get subscriptions(): number {
    return this.#subscriptions;
  }

  /** Every append has its answer, and the answers are written. */
  async drained(): Promise<void> {
    await this.backbones.drained();
    this.#tick.end();
  }

  // Sessions

  open(connection: Connection): Session {
    const session = new Session(randomId(this.env), connection, this);
    this.sessions.add(session);
    this.figures.sessionsOpened++;
    return session;
  }

  /** The session is somebody from now on; a refreshed identity is the same party's. */
  identified(session: Session, identity: Identity): void {
    const { user } = identity;
    if (session.identity === undefined && user !== undefined) this.users.began(user);
    session.identity = identity;
  }

  /** The connection is gone, whoever ended it. */
  closed(session: Session, code: Code | 'peer'): void {
    if (!this.sessions.delete(session)) return;
    const user = session.identity?.user;
    if (user !== undefined) this.users.ended(user);
    for (const subscription of session.subscriptions.values()) this.#drop(subscription);
    session.subscriptions.clear();
    session.behind.clear();
    session.end();
    HubFigures.count(this.figures.closed, code);
  }

  // Subscriptions

  /** The channel, followed from this synchronous moment on; or why the view cannot follow it now. */
  #channel(name: string): LiveChannel | Code {
    const found = this.#channels.get(name);
    if (found !== undefined) return found.live;
    try {
      const view = this.backbones.view(name);
      const live = new LiveChannel(name, this, view.state(name));
      this.#channels.set(name, { live, unfollow: view.follow(name, live) });
      return live;
    } catch (error) {
      return error instanceof TidewayError ? error.code : 'internal';
    }
  }

  /** The channel if anybody follows it. */
  liveChannel(name: string): LiveChannel | undefined {
    return this.#channels.get(name)?.live;
  }

  /** Fills the ring of the channel if it is followed and nothing has filled it yet. */
  fillRing(name: string): Promise<void> | undefined {
    const live = this.liveChannel(name);
    return live && this.#catchUp.fill(live);
  }

  /** Every channel that somebody follows. */
  *liveChannels(): Iterable<LiveChannel> {
    for (const { live } of this.#channels.values()) yield live;
  }

  /**
   * Starts delivery from a place, in one step with the end of an earlier subscription of the same channel. Whatever
   * answers the subscribe must have been queued before. Where the view cannot follow now it is over at once (REC-4).
   * Who awaited anything between finding the place and this call asks `isOutlived` in the same step.
   *
   * @param page what lies behind the place, where that was read already
   */
  subscribe(session: Session, name: string, place: string, page?: Page): void {
    const before = session.subscriptions.get(name);
    const channel = this.#channel(name);
    if (typeof channel === 'string') return session.send({ op: 'unsubscribed', channel: name, code: channel });
    const subscription = new Subscription(session, channel, place);
    channel.usedMs = this.env.monotonicMs();
    channel.addJoining(subscription);
    this.#subscriptions++;
    session.subscriptions.set(name, subscription);
    this.log.lookAt(session, name);
    if (before !== undefined) {
      session.behind.delete(before);
      this.#drop(before);
    }
    channel.flush();
    if (session.behind.size === 0 && channel.ring.covers(place) && place >= channel.delivered) {
      // Nothing lies between: live at once.
      channel.makeLive(subscription);
      this.#onLive(subscription);
    } else {
      subscription.behindSinceMs = channel.usedMs;
      session.addBehind(subscription);
      if (page !== undefined) this.#catchUp.take(subscription, page);
    }
  }

  /** Ends a subscription; nothing is sent for it any more. */
  unsubscribe(session: Session, name: string): void {
    const subscription = session.subscriptions.get(name);
    if (subscription === undefined) return;
    session.onSubscriptionOver?.(name, subscription.place);
    session.subscriptions.delete(name);
    session.behind.delete(subscription);
    this.#drop(subscription);
    if (session.isToldDown) this.log.look(session);
  }

  #drop(subscription: Subscription): void {
    const { channel } = subscription;
    channel.remove(subscription);
    this.#subscriptions--;
    if (channel.subscribers > 0) return;
    this.rings.changed(-channel.ring.bytes);
    this.#channels.get(channel.name)?.unfollow();
    this.#channels.delete(channel.name);
  }

  subscriptionFailed(subscription: Subscription): void {
    if (subscription.over) return;
    const { session, channel } = subscription;
    this.unsubscribe(session, channel.name);
    session.send({ op: 'unsubscribed', channel: channel.name, code: 'internal' });
    if (session.subscriptions.size === 0) session.onSubscriptionsOver?.();
  }

  #onLive(subscription: Subscription): void {
    const { channel, behindSinceMs } = subscription;
    if (behindSinceMs > 0) this.measures?.onCaughtUp(channel.name, this.env.monotonicMs() - behindSinceMs);
    this.#endIfClosed(channel);
  }

  /** Where everything of a closed channel was handed out: says so and ends its live subscriptions. */
  #endIfClosed(channel: LiveChannel): void {
    if (!channel.closed) return;
    for (const subscription of [...channel.liveSubscriptions]) {
      const { session } = subscription;
      session.send({ op: 'closed', channel: channel.name });
      this.unsubscribe(session, channel.name);
      if (session.subscriptions.size === 0) session.onSubscriptionsOver?.();
    }
  }

  // Signals

  /** Hands a signal to the channel's followers on this node. */
  signal(signal: SentSignal): void {
    const live = this.liveChannel(signal.channel);
    if (live !== undefined) this.figures.signalsDelivered += handOutSignal(live, signal);
  }

  // What channels and sessions tell their host

  markChannel(channel: LiveChannel): void {
    this.#tick.markChannel(channel);
  }

  markSession(session: Session): void {
    this.#tick.markSession(session);
  }

  get crowded(): boolean {
    return this.budget.crowded;
  }

  backlogChanged(byBytes: number): void {
    this.budget.outboxBytes += byBytes;
  }

  countWrite(chunks: number, bytes: number): void {
    this.figures.socketWrites++;
    this.figures.chunksSent += chunks;
    this.figures.bytesSent += bytes;
  }

  countDropped(): void {
    this.figures.signalsDropped++;
  }

  countDelivered(records: number, channel: string): void {
    this.figures.recordsDelivered += records;
    if (records > 0) this.#tick.delivered(channel);
  }

  catchUp(session: Session): void {
    this.#catchUp.add(session);
  }

  fallBehind(subscription: Subscription): void {
    this.figures.outboxOverflows++;
    this.figures.hit(this.crowded ? 'outboxBytesTotal' : 'outboxBytes');
    subscription.behindSinceMs = this.env.monotonicMs();
    subscription.session.addBehind(subscription);
  }

  newestPlace(channel: string): string {
    return this.backbones.view(channel).state(channel).place;
  }
}
