/**
 * The view of a process that has no log: follows its channels over a link (PROTOCOL.md §15) to the process that has it,
 * and reads through it. What comes is the stored frame, handed on as it is. Keeps no record itself.
 */
import { parseCursor, TidewayError, timing } from '@tideway/protocol';
import type { Position, Tag } from '../../log/log.ts';
import { Followers } from '../followers.ts';
import { frameLength } from '../frame.ts';
import type { ChannelState, Follower, Page, PageRequest, View, VisibleRecord } from '../view.ts';
import { readLinkMessage, silentError, type Link } from './link.ts';
import type { LinkFrame, LinkMessage, LinkRequest, LinkState } from './link-frames.ts';
import { RemoteChannel } from './remote-channel.ts';

/** A channel that nobody follows is kept this long after it was asked for. */
const KEPT_MS = 30_000;
/** More channels than that at once that nobody follows: no further one is taken. */
const KEPT_MAX = 65_536;

export class RemoteView implements View {
  /** Back ends that read many channels in one order read where the log is. */
  readonly feeds = [];
  readonly #link: Link;
  readonly #followers: Followers;
  readonly #channels = new Map<string, RemoteChannel>();
  readonly #asking = new Map<string, Promise<void>>();
  /** Records that were read and not handed on yet, all of one channel. */
  #came: VisibleRecord[] = [];
  #cameTo: RemoteChannel | undefined;
  #ridWindowMs = 0;
  #toFill = 0;
  #isSweeping = false;

  constructor(link: Link, onTrouble: (error: unknown) => void) {
    this.#link = link;
    this.#followers = new Followers(onTrouble);
  }

  // What comes

  /** Takes a message of the link; false where it is none of a view's. */
  take({ frame, bytes }: LinkMessage): boolean {
    if (frame.op === 'record') {
      this.#record(frame, bytes);
      return true;
    }
    this.handOn();
    if (frame.op === 'beat') {
      this.#ridWindowMs = frame['ridWindowMs'] as number;
      this.#toFill = frame['toFill'] as number;
      return false;
    }
    const channel = this.#channels.get(frame.channel ?? '');
    switch (frame.op) {
      case 'state':
        if (channel === undefined) return true;
        // Nothing comes of a channel that was closed, unless it is asked for again.
        if (channel.isOtherThanClosed(frame as unknown as LinkState)) this.#followAgain(channel);
        else if (channel.told(frame as unknown as LinkState))
          this.#followers.tell(channel.name, (follower) => follower.onFilled(frame['floor'] as string));
        return true;
      case 'gap':
        if (channel?.isFollowed === true) this.#gap(channel, frame);
        return true;
      case 'closed':
        if (channel?.isFollowed !== true) return true;
        channel.closed();
        this.#followers.tell(channel.name, (follower) => follower.onClosed());
        return true;
      case 'unsubscribed':
        if (channel !== undefined) this.#followAgain(channel);
        return true;
      default:
        return false;
    }
  }

  #record({ channel: name, cursor, prev }: LinkFrame, bytes: Buffer): void {
    let channel = this.#cameTo;
    if (channel?.name !== name) {
      this.handOn();
      channel = this.#channels.get(name as string);
      this.#cameTo = channel;
    }
    if (channel?.isFollowed !== true) return;
    const place = this.#came.at(-1)?.cursor ?? channel.place;
    if ((cursor as string) <= place) return;
    if ((prev as string) > place) {
      // Something is missing: never handed on.
      this.handOn();
      this.#followAgain(channel);
      return;
    }
    // A copy: what was read at once would be kept as long as one frame of it is.
    this.#came.push(visibleRecord(cursor as string, prev as string, Buffer.from(bytes)));
  }

  /** Everything that was read at once has come: hands it to the followers. */
  handOn(): void {
    const records = this.#came;
    const channel = this.#cameTo;
    this.#cameTo = undefined;
    if (records.length === 0 || channel === undefined) return;
    this.#came = [];
    // Followers first: whoever waits for them to have come may begin to follow in the same step.
    this.#followers.tell(channel.name, (follower) => follower.onRecords(records));
    channel.came(records);
  }

  #gap(channel: RemoteChannel, { cursor, reason }: LinkFrame): void {
    channel.moved(cursor as string);
    const gap = { cursor: cursor as string, reason: reason ?? 'diverged' };
    this.#followers.tell(channel.name, (follower) => follower.onGap(gap));
  }

  // Following

  ready(name: string): Promise<void> | undefined {
    const channel = this.#channels.get(name);
    if (channel === undefined) return this.#begin(name);
    channel.usedMs = this.#link.env.monotonicMs();
    return channel.isCurrent ? undefined : this.#current(channel);
  }

  #begin(name: string): Promise<void> {
    const asking = this.#asking.get(name);
    if (asking !== undefined) return asking;
    if (this.#channels.size - this.#followers.size >= KEPT_MAX) {
      const message = `${KEPT_MAX} channels that nobody follows were asked for`;
      return Promise.reject(new TidewayError('overloaded', message, { retryMs: timing.retryMs }));
    }
    const channel = new RemoteChannel(name);
    const onOk = (answer: unknown): void => {
      channel.usedMs = this.#link.env.monotonicMs();
      if (this.#channels.get(name) === channel) channel.begin(answer as LinkState);
      // Nobody waited so long.
      else if (!this.#channels.has(name)) this.#link.send({ op: 'unfollow', channel: name });
    };
    const begun = this.#link.request({ op: 'follow', channel: name }, { onOk }).then(
      () => void this.#asking.delete(name),
      (error: unknown) => {
        this.#asking.delete(name);
        this.#channels.delete(name);
        throw error;
      },
    );
    this.#channels.set(name, channel);
    this.#asking.set(name, begun);
    this.#sweepLater();
    return begun;
  }

  /** What it was told of is on its way. */
  async #current(channel: RemoteChannel): Promise<void> {
    const asking = this.#asking.get(channel.name);
    if (asking !== undefined) return await asking;
    await new Promise<void>((resolve, reject) => {
      const giveUp = channel.when(
        () => channel.isCurrent,
        () => {
          cancel?.();
          resolve();
        },
      );
      const cancel = this.#link.env.setTimer(timing.behindMs, () => {
        giveUp();
        reject(silentError());
      });
    });
  }

  /** Takes a channel up again from its place, as a client would. */
  #followAgain(channel: RemoteChannel): void {
    channel.isFollowed = false;
    this.#link.ask({ op: 'follow', channel: channel.name, from: channel.place }, (answer) => {
      if (this.#channels.get(channel.name) !== channel) return;
      if (answer instanceof TidewayError) {
        this.#link.env.setTimer(answer.retryMs ?? timing.retryMs, () => this.#followAgain(channel));
        return;
      }
      channel.begin(answer as unknown as LinkState);
      const { reason, place } = answer as unknown as { readonly reason?: LinkFrame['reason']; readonly place: string };
      if (reason !== undefined)
        this.#followers.tell(channel.name, (follower) => follower.onGap({ cursor: place, reason }));
    });
  }

  follow(name: string, follower: Follower): () => void {
    const stop = this.#followers.add(name, follower);
    return () => {
      stop();
      const channel = this.#channels.get(name);
      if (channel !== undefined) channel.usedMs = this.#link.env.monotonicMs();
    };
  }

  /** Lets go of what nobody follows or asked for. */
  #sweepLater(): void {
    if (this.#isSweeping) return;
    this.#isSweeping = true;
    this.#link.env.setTimer(KEPT_MS / 3, () => {
      this.#isSweeping = false;
      const oldestMs = this.#link.env.monotonicMs() - KEPT_MS;
      for (const [name, channel] of this.#channels) {
        if (channel.usedMs > oldestMs || this.#followers.has(name) || this.#asking.has(name)) continue;
        this.#channels.delete(name);
        this.#link.send({ op: 'unfollow', channel: name });
      }
      if (this.#channels.size > 0) this.#sweepLater();
    });
  }

  // Reads

  life(name: string): object | undefined {
    return this.#channels.get(name)?.life;
  }

  state(name: string): ChannelState {
    const state = this.#channels.get(name)?.state;
    if (state === undefined) throw silentError();
    return state;
  }

  applied(name: string): Position {
    const applied = this.#channels.get(name)?.applied;
    if (applied === undefined) throw silentError();
    return applied;
  }

  ridWindowMs(): number {
    return this.#ridWindowMs;
  }

  get toFill(): number {
    return this.#toFill;
  }

  async read(name: string, { after, before, limit, bytes }: PageRequest): Promise<Page> {
    const request: LinkRequest = {
      op: 'page',
      channel: name,
      limit,
      ...(after === undefined ? {} : { after }),
      ...(before === undefined ? {} : { before }),
      ...(Number.isFinite(bytes) && { bytes }),
    };
    const { answer, payload } = await this.#link.request(request);
    const { first, next, end, trimmed, behind } = answer as unknown as Omit<Page, 'records'>;
    const page = { records: recordsOf(payload), first, next, end, trimmed, behind };
    const channel = this.#channels.get(name);
    return channel?.isFollowed === true ? upTo(page, channel.place, after !== undefined) : page;
  }

  async tagAt(name: string, position: Position): Promise<Tag | undefined> {
    const { answer } = await this.#link.request({ op: 'tag', channel: name, position });
    return answer['tag'] as Tag | undefined;
  }

  async logNewest(name: string): Promise<Position | undefined> {
    const { answer } = await this.#link.request({ op: 'newest', channel: name });
    return answer['position'] as Position | undefined;
  }

  async reach(name: string, position: Position, deadlineMs: number): Promise<boolean> {
    const { answer } = await this.#link.request({ op: 'reach', channel: name, position, withinMs: deadlineMs });
    const channel = this.#channels.get(name);
    if (answer['reached'] !== true || channel === undefined) return false;
    channel.reached(answer['applied'] as Position, answer['head'] as string | undefined);
    if (!channel.isCurrent) await this.#current(channel);
    return true;
  }

  /** Calls back once everything up to a place has come, if the channel is followed here: at once, or in its turn. */
  whenHeld(name: string, cursor: string, then: () => void): void {
    const channel = this.#followers.has(name) ? this.#channels.get(name) : undefined;
    if (channel === undefined) then();
    else channel.when(() => channel.place >= cursor || epochOf(channel.place) !== epochOf(cursor), then);
  }
}

function visibleRecord(cursor: string, prev: string, frame: Buffer): VisibleRecord {
  return { position: parseCursor(cursor)?.position ?? '', cursor, prev, frame };
}

function recordsOf(payload: Buffer | undefined): VisibleRecord[] {
  const records: VisibleRecord[] = [];
  if (payload === undefined) return records;
  for (let at = 0; at < payload.length;) {
    const bytes = payload.subarray(at, at + frameLength(payload, at));
    const { frame } = readLinkMessage(bytes);
    records.push(visibleRecord(frame.cursor as string, frame.prev as string, bytes));
    at += bytes.length;
  }
  return records;
}

/** Without what has not come to the followers yet: they would get it a second time. */
function upTo(page: Page, place: string, isForward: boolean): Page {
  const newest = page.records.at(-1);
  if (newest === undefined) return page;
  // The gap that says so is on its way.
  if (epochOf(newest.cursor) !== epochOf(place)) throw silentError();
  if (newest.cursor <= place) return page;
  const records = page.records.filter(({ cursor }) => cursor <= place);
  const first = records[0]?.cursor ?? place;
  return { ...page, records, first, next: records.at(-1)?.cursor ?? place, end: isForward || page.end };
}

function epochOf(cursor: string): string {
  return cursor.slice(0, cursor.indexOf('.'));
}
