/**
 * The hub: who follows what. Owns the live channels, the sessions and the end of each tick, in which channels hand out
 * and sessions write. What one frame of a client does is `commands.ts`.
 */
import type { Code, PayloadKind } from '@tideway/protocol';
import type { Identity } from '../auth/identity.ts';
import { randomId, type Env } from '../env.ts';
import type { Log, PhysicalRecord } from '../log/log.ts';
import type { Verdict, View } from '../view/view.ts';
import { Appender, type Appended } from './appender.ts';
import { CatchUp } from './catch-up.ts';
import type { Connection } from './connection.ts';
import { HubFigures } from './figures.ts';
import { LiveChannel, type LiveChannelHost } from './live-channel.ts';
import type { Policy } from './policy.ts';
import { Session, type SessionHost } from './session.ts';
import { Subscription } from './subscription.ts';

/** A log with the view in front of it. */
export interface Backbone {
  readonly log: Log;
  readonly view: View;
}

export interface HubOptions {
  readonly env: Env;
  /** Where a channel's records are: durable ones, or those of namespaces that say `durable: false`. */
  readonly durable: Backbone;
  readonly memory: Backbone | undefined;
  readonly policy: Policy;
  readonly outboxBytesMax: number;
  readonly outboxBytesTotal: number;
  readonly ringBytesTotal: number;
  readonly onAppended: (record: PhysicalRecord, result: Appended, durationMs: number) => void;
  readonly onTrouble: (error: unknown) => void;
}

export class Hub implements LiveChannelHost, SessionHost {
  readonly env: Env;
  readonly policy: Policy;
  readonly figures = new HubFigures();
  readonly sessions = new Set<Session>();
  /** Sessions of each user. */
  readonly #users = new Map<string, number>();
  /** Appends that were answered as stored, and how long those took from arrival to answer, together. */
  appended = 0;
  commits = 0;
  commitMsSum = 0;
  readonly outboxBytesMax: number;
  outboxBytes = 0;
  ringBytes = 0;
  readonly #options: HubOptions;
  readonly #channels = new Map<string, { readonly live: LiveChannel; readonly unfollow: () => void }>();
  readonly #catchUp: CatchUp;
  readonly #durable: Appender;
  readonly #memory: Appender | undefined;
  #dirtyChannels: LiveChannel[] = [];
  #dirtySessions: Session[] = [];
  #tickScheduled = false;
  #subscriptions = 0;

  constructor(options: HubOptions) {
    this.#options = options;
    this.env = options.env;
    this.policy = options.policy;
    this.outboxBytesMax = options.outboxBytesMax;
    this.#catchUp = new CatchUp({
      env: options.env,
      viewOf: (channel) => this.view(channel),
      ringBytesChanged: (byBytes) => this.ringBytesChanged(byBytes),
      onLive: (subscription) => this.#onLive(subscription),
      onTrouble: options.onTrouble,
    });
    const node = randomId(options.env).slice(0, 8);
    const appender = (backbone: Backbone, suffix: string): Appender =>
      new Appender({
        env: options.env,
        log: backbone.log,
        view: backbone.view,
        node: node + suffix,
        onAppended: (record, result, durationMs) => this.#onAppended(record, result, durationMs),
      });
    this.#durable = appender(options.durable, '');
    this.#memory = options.memory === undefined ? undefined : appender(options.memory, 'm');
  }

  #onAppended(record: PhysicalRecord, result: Appended, durationMs: number): void {
    if (result.state === 'ok') {
      this.appended++;
      this.commits++;
      this.commitMsSum += durationMs;
    }
    this.#options.onAppended(record, result, durationMs);
  }

  view(channel: string): View {
    return this.#isMemory(channel) ? (this.#options.memory as Backbone).view : this.#options.durable.view;
  }

  appender(channel: string): Appender {
    return this.#isMemory(channel) ? (this.#memory as Appender) : this.#durable;
  }

  /** How far back a repeated id is recognized now (HEL-2): the shorter of the two logs'. */
  ridWindowMs(): number {
    const durable = this.#options.durable.view.ridWindowMs();
    return Math.floor(Math.min(durable, this.#options.memory?.view.ridWindowMs() ?? durable));
  }

  #isMemory(channel: string): boolean {
    return this.#memory !== undefined && this.policy.rules(channel)?.durable === false;
  }

  /** The fold of a backbone's view has judged a record of this node. */
  onVerdict(ticket: string, verdict: Verdict): void {
    this.#durable.onVerdict(ticket, verdict);
    this.#memory?.onVerdict(ticket, verdict);
  }

  get channels(): number {
    return this.#channels.size;
  }

  get subscriptions(): number {
    return this.#subscriptions;
  }

  get appendsInFlight(): number {
    return this.#durable.inFlight + (this.#memory?.inFlight ?? 0);
  }

  /** Every append has its answer, and the answers are written. */
  async drained(): Promise<void> {
    await this.#durable.drained();
    await this.#memory?.drained();
    this.#endOfTick();
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
    if (session.identity === undefined && user !== undefined) this.#users.set(user, this.sessionsOf(user) + 1);
    session.identity = identity;
  }

  /** How many sessions a user has on this node. */
  sessionsOf(user: string): number {
    return this.#users.get(user) ?? 0;
  }

  /** The connection is gone, whoever ended it. */
  closed(session: Session, code: Code | 'peer'): void {
    if (!this.sessions.delete(session)) return;
    const user = session.identity?.user;
    if (user !== undefined) {
      const left = this.sessionsOf(user) - 1;
      if (left > 0) this.#users.set(user, left);
      else this.#users.delete(user);
    }
    for (const subscription of session.subscriptions.values()) this.#drop(subscription);
    session.subscriptions.clear();
    session.behind.clear();
    session.end();
    HubFigures.count(this.figures.closed, code);
  }

  // Subscriptions

  /** The channel, followed from this synchronous moment on. */
  #channel(name: string): LiveChannel {
    const found = this.#channels.get(name);
    if (found !== undefined) return found.live;
    const view = this.view(name);
    const live = new LiveChannel(name, this, view.state(name));
    this.#channels.set(name, { live, unfollow: view.follow(name, live) });
    return live;
  }

  /** The channel if anybody follows it. */
  liveChannel(name: string): LiveChannel | undefined {
    return this.#channels.get(name)?.live;
  }

  /**
   * Starts delivery from a place, in one step with the end of an earlier subscription of the same channel. Whatever
   * answers the subscribe must have been queued before.
   */
  subscribe(session: Session, name: string, place: string): Subscription {
    const before = session.subscriptions.get(name);
    const channel = this.#channel(name);
    const subscription = new Subscription(session, channel, place);
    channel.usedMs = this.env.monotonicMs();
    channel.addJoining(subscription);
    this.#subscriptions++;
    session.subscriptions.set(name, subscription);
    if (before !== undefined) {
      session.behind.delete(before);
      this.#drop(before);
    }
    channel.flush();
    if (session.behind.size === 0 && channel.ring.covers(place) && place >= channel.delivered) {
      // Nothing lies between: live at once.
      channel.makeLive(subscription);
      this.#onLive(subscription);
    } else session.addBehind(subscription);
    return subscription;
  }

  /** Ends a subscription; nothing is sent for it any more. */
  unsubscribe(session: Session, name: string): void {
    const subscription = session.subscriptions.get(name);
    if (subscription === undefined) return;
    session.subscriptions.delete(name);
    session.behind.delete(subscription);
    this.#drop(subscription);
  }

  #drop(subscription: Subscription): void {
    const { channel } = subscription;
    channel.remove(subscription);
    this.#subscriptions--;
    if (channel.subscribers > 0) return;
    this.ringBytes -= channel.ring.bytes;
    this.#channels.get(channel.name)?.unfollow();
    this.#channels.delete(channel.name);
  }

  subscriptionFailed(subscription: Subscription): void {
    if (subscription.over) return;
    const { session, channel } = subscription;
    this.unsubscribe(session, channel.name);
    session.send({ op: 'unsubscribed', channel: channel.name, code: 'internal' });
  }

  #onLive({ channel }: Subscription): void {
    if (channel.closed) this.#endClosed(channel);
  }

  /** Everything of a closed channel was handed out: says so and ends its live subscriptions. */
  #endClosed(channel: LiveChannel): void {
    for (const subscription of [...channel.liveSubscriptions]) {
      const { session } = subscription;
      session.send({ op: 'closed', channel: channel.name });
      this.unsubscribe(session, channel.name);
      if (session.subscriptions.size === 0) session.onSubscriptionsOver?.();
    }
  }

  // Signals

  /** Sends a signal to a channel's followers on this node, except to the sender's own application object. */
  signal(
    channel: string,
    from: { readonly user: string | undefined; readonly instance: string },
    signal: {
      readonly key?: string | undefined;
      readonly to?: string | undefined;
      readonly encoding: PayloadKind;
      readonly payload: Buffer;
    },
  ): void {
    const live = this.liveChannel(channel);
    if (live === undefined) return;
    const frame = {
      op: 'signal',
      channel,
      ...(from.user === undefined ? {} : { user: from.user }),
      ...(signal.key === undefined ? {} : { key: signal.key }),
    } as const;
    const payload = { encoding: signal.encoding, bytes: signal.payload };
    const everyone = [...live.liveSubscriptions, ...live.joining];
    for (const { session } of everyone) {
      if (signal.to !== undefined && session.identity?.user !== signal.to) continue;
      if (from.instance !== '' && session.instance === from.instance && session.identity?.user === from.user) continue;
      session.sendIfRoom(frame, payload);
      this.figures.signalsDelivered++;
    }
  }

  // The end of a tick

  markChannel(channel: LiveChannel): void {
    if (channel.dirty) return;
    channel.dirty = true;
    this.#dirtyChannels.push(channel);
    this.#scheduleTick();
  }

  markSession(session: Session): void {
    this.#dirtySessions.push(session);
    this.#scheduleTick();
  }

  #scheduleTick(): void {
    if (this.#tickScheduled) return;
    this.#tickScheduled = true;
    this.env.endOfTick(() => this.#endOfTick());
  }

  #endOfTick(): void {
    this.#tickScheduled = false;
    const channels = this.#dirtyChannels;
    this.#dirtyChannels = [];
    for (const channel of channels) {
      channel.flush();
      if (channel.closed) this.#endClosed(channel);
    }
    const sessions = this.#dirtySessions;
    this.#dirtySessions = [];
    for (const session of sessions) session.flush();
  }

  // What channels and sessions tell their host

  get crowded(): boolean {
    return this.outboxBytes > this.#options.outboxBytesTotal;
  }

  backlogChanged(byBytes: number): void {
    this.outboxBytes += byBytes;
  }

  countWrite(chunks: number, bytes: number): void {
    this.figures.socketWrites++;
    this.figures.chunksSent += chunks;
    this.figures.bytesSent += bytes;
  }

  countDropped(): void {
    this.figures.signalsDropped++;
  }

  countDelivered(records: number): void {
    this.figures.recordsDelivered += records;
  }

  catchUp(session: Session): void {
    this.#catchUp.add(session);
  }

  fallBehind(subscription: Subscription): void {
    this.figures.outboxOverflows++;
    subscription.session.addBehind(subscription);
  }

  ringBytesChanged(byBytes: number): void {
    this.ringBytes += byBytes;
    if (byBytes <= 0 || this.ringBytes <= this.#options.ringBytesTotal) return;
    // The least recently used rings lose their oldest half until a quarter of the budget is free again.
    const goal = this.#options.ringBytesTotal * 0.75;
    const channels = [...this.#channels.values()].map(({ live }) => live).sort((a, b) => a.usedMs - b.usedMs);
    for (const channel of channels) {
      if (this.ringBytes <= goal) return;
      const before = channel.ring.bytes;
      channel.ring.shrink(0, 1);
      this.ringBytes += channel.ring.bytes - before;
    }
  }
}
