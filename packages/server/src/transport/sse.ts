/**
 * Event streams (PROTOCOL.md §9): opening one, and the connection under it. `GET` for `EventSource`, `POST` for clients
 * that use `fetch`. A stream is a session that never sends commands.
 */
import type { ServerResponse } from 'node:http';
import { timing, type Code, type ItemError, type Subscribed, type SubscribeItem } from '@tideway/protocol';
import type { Identity } from '../auth/identity.ts';
import { randomFraction, type Env } from '../env.ts';
import { withRetry, type Refusal } from '../hub/refusal.ts';
import type { Commands } from '../hub/commands.ts';
import type { Codec, Connection } from '../hub/connection.ts';
import type { Hub } from '../hub/hub.ts';
import type { Session } from '../hub/session.ts';
import { answerSubscribe, isOutlived, tooMany, type Outcome } from '../hub/start.ts';
import { backlogBytes, endConnectionBehind, type Exchange, type Request, type Response } from './exchange.ts';
import { FaultyConnection } from './faults.ts';
import { event, idBlock, sseCodec, sseIdCodec } from './sse-codec.ts';
import { askedByBody, askedByQuery, type Asked } from './sse-request.ts';

const HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-cache, no-transform',
  'x-accel-buffering': 'no',
};
const COMMENT = Buffer.from(':\n\n');
/** An `EventSource` that was sent elsewhere comes back within this, and no sooner than after half of it. */
const COME_BACK_MS = 500;
/** What it waits after any other end, once it is there: what browsers do. */
const RETRY_MS = 3_000;

class SseConnection implements Connection {
  readonly transport = 'sse';
  readonly codec: Codec;
  /** Its client comes back by itself when the stream ends, and only then. */
  readonly isEventSource: boolean;
  /** When something was last written, on the monotonic clock. */
  writtenMs: number;
  readonly #env: Env;
  readonly #response: Response;

  constructor(env: Env, response: Response, codec: Codec, isEventSource: boolean) {
    this.#env = env;
    this.#response = response;
    this.codec = codec;
    this.isEventSource = isEventSource;
    this.writtenMs = env.monotonicMs();
  }

  backlogBytes(): number {
    return backlogBytes(this.#response);
  }

  write(chunk: Buffer): void {
    this.writtenMs = this.#env.monotonicMs();
    (this.#response as ServerResponse).write(chunk);
  }

  writeAll(chunks: readonly Buffer[]): void {
    this.write(Buffer.concat(chunks));
  }

  pause(): void {
    // Nothing is read from a stream.
  }

  resume(): void {
    // Nothing is read from a stream.
  }

  close(): void {
    (this.#response as ServerResponse).end();
  }

  cut(): void {
    this.#response.destroy();
  }

  /** What else its client asks for, it asks for on another connection. */
  endConnectionBehind(): void {
    endConnectionBehind(this.#response);
  }
}

export interface EventStreams {
  /** Answers `GET /v1/events` or `POST /v1/events` as this identity. */
  open(exchange: Exchange, identity: Identity): Promise<void>;
  /** Answers one of them that does not become a stream (SSE-6). */
  refuse(exchange: Exchange, refusal: ItemError): void;
  /** Tells all that the node goes away; those of `GET` end one after the other, while there is another node (SSE-8). */
  drain(withinMs: number, hasOthers: () => boolean): void;
  stop(): void;
}

export function createEventStreams(parts: {
  readonly env: Env;
  readonly hub: Hub;
  readonly commands: Commands;
  readonly faults: boolean;
  readonly room: {
    /** Nobody new is taken any more. */
    readonly isLeaving: boolean;
    /** Why no further session may begin now; `undefined` where one may. */
    whenFull(): Refusal | undefined;
    whenUserFull(identity: Identity): Refusal | undefined;
  };
  readonly onOpened: (session: Session, request: Request) => void;
  readonly onClosed: (session: Session, code: Code | 'peer', detail: string) => void;
}): EventStreams {
  const { env, hub, commands } = parts;
  const streams = new Map<Session, SseConnection>();
  let cancel = env.setTimer(timing.commentMs / 3, comment);

  /** A comment on each stream that was quiet for long, so that proxies do not take it for dead. */
  function comment(): void {
    cancel = env.setTimer(timing.commentMs / 3, comment);
    const quietSinceMs = env.monotonicMs() - timing.commentMs * (2 / 3);
    for (const [session, connection] of streams) {
      if (connection.writtenMs <= quietSinceMs && connection.backlogBytes() === 0) connection.write(COMMENT);
      session.onDrain();
    }
  }

  async function open(exchange: Exchange, identity: Identity): Promise<void> {
    if (parts.room.isLeaving) return exchange.hangUp();
    const asked = exchange.method === 'GET' ? askedByQuery(exchange) : await askedByBody(exchange);
    const isOnly = asked.items.length === 1;
    const max = commands.subscriptionsMax;
    if (asked.items.length > max) hub.figures.hit('subscriptions');
    const find = async (item: SubscribeItem, n: number): Promise<Outcome> =>
      n < max ? await answerSubscribe(hub, identity, item, isOnly) : tooMany(max);
    let outcomes = await Promise.all(asked.items.map(find));
    while (outcomes.some((outcome) => isOutlived(hub, outcome))) {
      outcomes = await Promise.all(
        outcomes.map(async (outcome, n) =>
          isOutlived(hub, outcome) ? await find(asked.items[n] as SubscribeItem, n) : outcome,
        ),
      );
    }
    const refusals = outcomes.filter((outcome) => 'code' in outcome).map(withRetry);
    const retryable = asked.isGet ? refusals.find((refusal) => refusal.retryMs !== undefined) : undefined;
    const refusal = retryable ?? (refusals.length === outcomes.length ? refusals[0] : undefined);
    if (refusal !== undefined) return refuse(exchange, refusal);
    if (asked.isReconnect && outcomes.every((outcome) => 'code' in outcome || isOver(outcome.answer))) {
      exchange.writeHead(204, { 'cache-control': 'no-store' });
      (exchange.response as ServerResponse).end();
      return;
    }
    begin(exchange, identity, asked, outcomes);
  }

  /** Nothing will ever come on this channel from this place. */
  function isOver(answer: Subscribed): boolean {
    return hub.backbones.view(answer.channel).state(answer.channel).closed && answer.cursor >= answer.head;
  }

  /** Before the stream (SSE-6): final errors by status; retryable ones as an event, or `EventSource` would give up. */
  function refuse(exchange: Exchange, refusal: ItemError): void {
    if (refusal.retryMs === undefined || exchange.response.headersSent) return exchange.fail(refusal);
    exchange.writeHead(200, HEADERS);
    const failure = JSON.stringify(exchange.describe(refusal));
    (exchange.response as ServerResponse).end(`retry: ${refusal.retryMs}\nevent: error\ndata: ${failure}\n\n`);
  }

  function begin(exchange: Exchange, identity: Identity, asked: Asked, outcomes: readonly Outcome[]): void {
    const { response } = exchange;
    if (response.destroyed) return;
    if (parts.room.isLeaving) return exchange.hangUp();
    const full = parts.room.whenFull();
    if (full !== undefined) return refuse(exchange, withRetry(full));
    const single = asked.isGet && asked.items.length === 1;
    const plain = new SseConnection(env, response, single ? sseIdCodec : sseCodec, asked.isGet);
    const connection = parts.faults ? new FaultyConnection(env, plain, () => plain.cut()) : plain;
    const session = hub.open(connection);
    if (connection instanceof FaultyConnection) connection.onRelease = () => session.onDrain();
    session.instance = exchange.instance();
    const over = parts.room.whenUserFull(identity);
    if (over !== undefined) {
      hub.closed(session, over.code);
      return refuse(exchange, withRetry(over));
    }
    exchange.writeHead(200, HEADERS);
    commands.signIn.begin(session, identity);
    // Its credentials have run out since they were looked at, and it was told so.
    if (session.ended) return;
    // A stream that is read is never silent: there are comments.
    exchange.cutUnread();
    streams.set(session, plain);
    parts.onOpened(session, exchange.request);
    response.on('drain', () => session.onDrain());
    response.on('error', () => {});
    response.on('close', () => {
      streams.delete(session);
      commands.ended(session);
      hub.closed(session, 'peer');
      parts.onClosed(session, session.closedWith ?? 'peer', '');
    });
    const { pingMs: _, ...about } = commands.signIn.about(session);
    const channels = outcomes.map((outcome, index) =>
      'answer' in outcome ? outcome.answer : { ...outcome, channel: (asked.items[index] as SubscribeItem).channel },
    );
    const places = outcomes.map((outcome) => ('answer' in outcome ? outcome.answer.cursor : ''));
    // What a drain has set is for that one time.
    if (asked.isReconnect) session.sendChunk(Buffer.from(`retry: ${RETRY_MS}\n`));
    session.sendChunk(event('ready', JSON.stringify({ channels, ...about }), single ? places[0] : undefined));
    hub.log.look(session);
    if (asked.isGet && !single) {
      session.beforeWrite = () => idBlock(placesNow(session, asked.items, places));
      // Its last records may be in the write that tells its end.
      session.onSubscriptionOver = (channel, place) => {
        places[asked.items.findIndex((item) => item.channel === channel)] = place;
      };
    }
    for (const outcome of outcomes) {
      if ('answer' in outcome) hub.subscribe(session, outcome.answer.channel, outcome.deliverFrom, outcome.page);
    }
    // One that is closed is over in the step in which it begins: whether any is left is known behind the last.
    session.onSubscriptionsOver = () => session.close('channel_closed', 'no channel is left');
    if (session.subscriptions.size === 0) session.onSubscriptionsOver();
  }

  function drain(withinMs: number, hasOthers: () => boolean): void {
    const ending: Session[] = [];
    for (const [session, connection] of streams) {
      session.sendChunk(drainBlock(env, withinMs));
      connection.endConnectionBehind();
      if (connection.isEventSource) ending.push(session);
    }
    for (const [n, session] of ending.entries()) {
      env.setTimer((withinMs * n) / ending.length, () => {
        if (hasOthers()) commands.replies.close(session, 'going_away', 'the server is stopping');
      });
    }
  }

  return { open, refuse, drain, stop: () => cancel() };
}

/** The places of all channels in the order asked; one that is over keeps its last place. */
function placesNow(session: Session, items: readonly SubscribeItem[], places: string[]): readonly string[] {
  items.forEach((item, index) => {
    const place = session.subscriptions.get(item.channel)?.place;
    if (place !== undefined) places[index] = place;
  });
  return places;
}

/** What a stream says when the server goes away: once it has ended, come back soon (SSE-8). */
function drainBlock(env: Env, withinMs: number): Buffer {
  const retryMs = Math.floor(COME_BACK_MS * (1 - randomFraction(env) / 2));
  return Buffer.from(`event: drain\nretry: ${retryMs}\ndata: ${JSON.stringify({ withinMs })}\n\n`);
}
