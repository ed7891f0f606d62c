/**
 * A process of this server that follows the one that has the log (PROTOCOL.md §15): its link is a session like any
 * other, fed from the same rings and the same outbox, and may ask what no client may. It is never a client.
 */
import { TidewayError } from '@tideway/protocol';
import type { Identity } from '../../auth/identity.ts';
import type { NodeSignals } from '../../log/log.ts';
import { FrameCutter } from '../../view/remote/frame-cutter.ts';
import type { LinkFrame, LinkMessage, LinkState } from '../../view/remote/link-frames.ts';
import { readLinkMessage } from '../../view/remote/link.ts';
import type { PageRequest } from '../../view/view.ts';
import { websocketCodec } from '../codec-websocket.ts';
import type { Codec, Connection } from '../connection.ts';
import type { Hub } from '../hub.ts';
import { withRetry } from '../refusal.ts';
import { findStart } from '../resume.ts';
import type { Session } from '../session.ts';
import { LinkAppends } from './link-appends.ts';
import { LinkReplies } from './link-replies.ts';

const BEAT_MS = 1_000;
/** Whoever scrapes waits for no process that is stuck. */
const MEASURE_MS = 2_000;
/** A link carries what all the clients of a process follow. */
export const LINK_OUTBOX_BYTES = 16 * 1024 * 1024;

/** Signals go from process to process beside it (LNK-7): they reach followers that the log's process knows nothing of. */
export const linkCodec: Codec = {
  ...websocketCodec,
  frame: (frame, payload) => (frame.op === 'signal' ? undefined : websocketCodec.frame(frame, payload)),
};

export interface LinkHost {
  readonly hub: Hub;
  /** What another process said: for everybody else. */
  readonly relay: (from: LinkSession, to: Parameters<NodeSignals['signal']>[0], bytes: Buffer) => void;
  /** The metrics of all processes, as text. */
  readonly metrics: () => Promise<string>;
  /** The answer to a request for a feed, as this identity. */
  readonly feed: (url: string, identity: Identity) => Promise<Buffer>;
  /** What the process does, once a second. */
  readonly onFigures: (figures: object) => void;
  readonly onTrouble: (error: unknown) => void;
  /** The process takes connections. */
  readonly onListening: (url: string) => void;
}

export class LinkSession {
  readonly #host: LinkHost;
  readonly #hub: Hub;
  readonly #session: Session;
  readonly #replies: LinkReplies;
  readonly #appends: LinkAppends;
  readonly #cutter = new FrameCutter();
  /** By channel: what stops the telling of floors. */
  readonly #watched = new Map<string, () => void>();
  /** Those who wait for the metrics of the other process. */
  readonly #measured: ((text: string) => void)[] = [];
  #cancelBeat = (): void => {};
  readonly #stopNews: () => void;

  /** @param beginning what the other process is told first */
  constructor(host: LinkHost, connection: Connection, beginning: object) {
    this.#host = host;
    this.#hub = host.hub;
    this.#session = host.hub.open(connection);
    this.#replies = new LinkReplies(this.#session, host.onTrouble);
    this.#appends = new LinkAppends(host.hub.backbones, this.#replies);
    host.hub.identified(this.#session, ANOTHER_PROCESS);
    this.#beat();
    this.#stopNews = this.#hub.log.watch(() => this.#sayBeat());
    this.#replies.send({ op: 'begin', ...beginning });
  }

  /** Takes what was read. */
  receive(chunk: Buffer): void {
    this.#cutter.take(chunk, (bytes) => {
      const message = readLinkMessage(bytes);
      try {
        this.#take(message);
      } catch (error) {
        this.#replies.fail(message.frame.id, error);
      }
    });
  }

  onDrain(): void {
    this.#session.onDrain();
  }

  /** The other process has ended. */
  ended(): void {
    this.#cancelBeat();
    this.#stopNews();
    for (const stop of this.#watched.values()) stop();
    this.#watched.clear();
    this.#hub.closed(this.#session, 'peer');
  }

  /** Tells the other process to end, and how long its clients may take to move. */
  tellDrain(withinMs: number): void {
    this.#replies.send({ op: 'drain', withinMs });
  }

  /** The metrics of the other process; empty where it does not tell them in time. */
  measure(): Promise<string> {
    return new Promise((resolve) => {
      const cancel = this.#hub.env.setTimer(MEASURE_MS, () => resolve(''));
      const first = this.#measured.length === 0;
      this.#measured.push((text) => {
        cancel();
        resolve(text);
      });
      if (first) this.#replies.send({ op: 'measure' });
    });
  }

  /** Says what another process, or this one, said. */
  say(to: string | undefined, bytes: Buffer): void {
    this.#replies.send({ op: 'say', ...(to === undefined ? {} : { to }) }, bytes);
  }

  #beat(): void {
    this.#cancelBeat = this.#hub.env.setTimer(BEAT_MS, () => this.#beat());
    this.#sayBeat();
  }

  #sayBeat(): void {
    const { backbones, log } = this.#hub;
    const { toFill } = backbones;
    this.#replies.send({ op: 'beat', ridWindowMs: backbones.ridWindowMs(), toFill, ...log.health });
  }

  #take({ frame, payload, encoding }: LinkMessage): void {
    const { op, id, channel = '' } = frame;
    switch (op) {
      case 'follow':
        return this.#answerLater(id, this.#follow(channel, id, frame['from'] as string | undefined));
      case 'unfollow':
        this.#watched.get(channel)?.();
        this.#watched.delete(channel);
        return this.#hub.unsubscribe(this.#session, channel);
      case 'page':
        return this.#answerLater(id, this.#page(channel, id, frame));
      case 'tag':
        return this.#answerLater(
          id,
          this.#hub.backbones
            .view(channel)
            .tagAt(channel, frame['position'] as string)
            .then((tag) => this.#replies.ok(id, { tag })),
        );
      case 'newest':
        return this.#answerLater(
          id,
          this.#hub.backbones
            .view(channel)
            .logNewest(channel)
            .then((position) => this.#replies.ok(id, { position })),
        );
      case 'reach':
        return this.#answerLater(id, this.#reach(channel, id, frame));
      case 'store':
        return this.#appends.store(frame, { payload: payload ?? Buffer.alloc(0), encoding });
      case 'restart':
        return this.#appends.restart(channel);
      case 'recall':
        return this.#appends.recall(frame);
      case 'say': {
        const to = frame['to'] as string | undefined;
        return this.#host.relay(this, to === undefined ? 'all' : { node: to }, payload ?? Buffer.alloc(0));
      }
      case 'listening':
        return this.#host.onListening(frame['url'] as string);
      case 'metrics':
        return this.#answerLater(
          id,
          this.#host.metrics().then((text) => this.#replies.ok(id, {}, Buffer.from(text))),
        );
      case 'measured':
        return this.#measured.splice(0).forEach((resolve) => resolve(payload?.toString('utf8') ?? ''));
      case 'figures':
        return this.#host.onFigures(frame);
      case 'feed': {
        const { url, identity } = frame as unknown as { readonly url: string; readonly identity: Identity };
        return this.#answerLater(
          id,
          this.#host.feed(url, identity).then((body) => this.#replies.ok(id, {}, body)),
        );
      }
      default:
        throw new TidewayError('bad_frame', `"${op}" is nothing that a process says on its link`);
    }
  }

  // Following

  async #follow(channel: string, id: number | undefined, from: string | undefined): Promise<void> {
    const start = await findStart(
      {
        view: this.#hub.backbones.view(channel),
        channel,
        ring: () => this.#hub.liveChannel(channel)?.ring,
        turns: this.#hub.starts,
      },
      from,
    );
    if (!start.ok) throw new TidewayError(start.code, start.message, withRetry(start));
    if (this.#session.ended) return;
    const state = this.#state(channel);
    // Of a channel that was not followed before, the place is the newest one, and nothing is behind it.
    const place = from === undefined ? state.place : start.deliverFrom;
    this.#replies.ok(id, { ...state, place, ...(start.reason === undefined ? {} : { reason: start.reason }) });
    this.#hub.subscribe(this.#session, channel, place);
    this.#watch(channel);
  }

  #state(channel: string): LinkState {
    const view = this.#hub.backbones.view(channel);
    const { head, ...state } = view.state(channel);
    return { ...state, applied: view.applied(channel), ...(head === undefined ? {} : { head }) };
  }

  /** A client learns of a floor when it reads; a view must know it. */
  #watch(channel: string): void {
    if (this.#watched.has(channel)) return;
    const tell = (): void => {
      // What was applied before it goes first.
      this.#hub.liveChannel(channel)?.flush();
      this.#replies.send({ op: 'state', channel, ...this.#state(channel) });
    };
    const stop = this.#hub.backbones.view(channel).follow(channel, {
      onRecords: () => {},
      onFloor: tell,
      onFilled: tell,
      onClosed: tell,
      onGap: tell,
    });
    this.#watched.set(channel, stop);
  }

  // Reads

  async #page(channel: string, id: number | undefined, frame: LinkFrame): Promise<void> {
    const { after, before, limit, bytes = Number.POSITIVE_INFINITY } = frame as Partial<PageRequest>;
    const place = after === undefined ? { before: before as string } : { after };
    const { records, ...page } = await this.#hub.backbones
      .view(channel)
      .read(channel, { ...place, limit: limit as number, bytes });
    // Followers of the channel get what the page holds before the page, and the gap in front of that.
    this.#hub.liveChannel(channel)?.flush();
    this.#session.subscriptions.get(channel)?.tellGap();
    this.#replies.ok(id, page, Buffer.concat(records.map((record) => record.frame)));
  }

  async #reach(channel: string, id: number | undefined, frame: LinkFrame): Promise<void> {
    const view = this.#hub.backbones.view(channel);
    const reached = await view.reach(channel, frame['position'] as string, frame['withinMs'] as number);
    this.#hub.liveChannel(channel)?.flush();
    const { head } = view.state(channel);
    this.#replies.ok(id, { reached, applied: view.applied(channel), ...(head === undefined ? {} : { head }) });
  }

  #answerLater(id: number | undefined, answering: Promise<void>): void {
    answering.catch((error: unknown) => this.#replies.fail(id, error));
  }
}

/** Nothing is permitted or refused by it: what a process asks, it has judged itself. */
const ANOTHER_PROCESS: Identity = { kind: 'key', roles: [], keyName: 'process' };
