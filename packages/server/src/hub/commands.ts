/**
 * What a client's frame does (PROTOCOL.md §2): takes frames from any two-way transport, answers each request once. Order
 * within a channel is the lane's business, admission and permission `admission.ts`'s, delivery the hub's.
 */
import {
  limits,
  timing,
  TidewayError,
  type ClientFrame,
  type Code,
  type Decoded,
  type HelloOk,
  type ItemError,
  type PayloadKind,
  type Subscribed,
  type SubscribeItem,
} from '@tideway/protocol';
import type { Identity, Permission } from '../auth/identity.ts';
import { admitPayload, admitRecord, authorize, type Refusal } from './admission.ts';
import type { Appended } from './appender.ts';
import { HubFigures } from './figures.ts';
import type { Hub } from './hub.ts';
import { Lane } from './lane.ts';
import type { NamespaceRules } from './policy.ts';
import { Rate } from './rate.ts';
import { findStart, type Start } from './resume.ts';
import type { Session } from './session.ts';

/** What the commands need beside the hub: who a token stands for, and where refusals are written down. */
export interface CommandHost {
  /** Throws a `TidewayError`: `unauthenticated` or `token_expired`. */
  authenticate(session: Session, token: string | undefined): Promise<Identity>;
  /** True when both speak for the same party. */
  isSameParty(a: Identity, b: Identity): boolean;
  /** Writes the refusal to the log; returns the reference both share. */
  refused(session: Session, code: Code, message: string, op: string, channel?: string): string;
  /** What the server tells about itself in the `ok` of `hello`. */
  readonly about: Pick<HelloOk, 'pingMs' | 'server'> & { readonly limits: Omit<HelloOk['limits'], 'ridWindowMs'> };
  readonly recordRatePerSecond: number;
  readonly signalRatePerSecond: number;
}

/** Frames that came before the answer to `hello`. */
interface Early {
  readonly decoded: Decoded;
  readonly payload: Buffer | undefined;
  readonly binary: boolean;
}

const EARLY_MAX = 1_100;
/** Channels of one session with commands or a refusal pending. */
const LANES_MAX = 4_096;
const NAMELESS: Identity = { kind: 'anonymous', roles: [] };

export class Commands {
  readonly #hub: Hub;
  readonly #host: CommandHost;
  readonly #early = new WeakMap<Session, Early[]>();
  readonly #rates = new WeakMap<Session, Rate>();
  readonly #expiry = new WeakMap<Session, () => void>();

  constructor(hub: Hub, host: CommandHost) {
    this.#hub = hub;
    this.#host = host;
  }

  /** Takes one frame. `payload` is what stood behind the header, `binary` the kind of the message. */
  receive(session: Session, decoded: Decoded, payload: Buffer | undefined, binary: boolean): void {
    if (session.ended) return;
    session.unansweredPings = 0;
    const early = this.#early.get(session);
    if (early !== undefined) {
      if (early.length < EARLY_MAX) early.push({ decoded, payload, binary });
      else session.close('overloaded', 'too many frames before the answer to hello');
      return;
    }
    if (!decoded.ok) {
      const open = decoded.id !== undefined && session.openIds?.has(decoded.id) === true;
      this.#notUnderstood(session, decoded.message, open ? undefined : decoded.id);
      return;
    }
    const { frame } = decoded;
    if (session.identity === undefined && frame.op !== 'hello') {
      if (frame.op !== 'pong')
        this.#error(session, idOf(frame), { code: 'unauthenticated', message: 'say hello first' }, frame.op);
      return;
    }
    const body = this.#body(session, decoded, payload, binary);
    if (body === undefined) return;
    if ('id' in frame && session.openIds?.has(frame.id) === true) {
      this.#notUnderstood(session, `request id ${frame.id} is still open`, undefined);
      return;
    }
    if (frame.op === 'append' && body.payload === undefined) {
      this.#notUnderstood(session, 'an append needs a payload: a line feed and the data behind its header', frame.id);
      return;
    }
    session.badInRow = 0;
    this.#dispatch(session, frame, body.payload, body.encoding);
  }

  /** The payload of a frame: behind the header or, hand-typed, inside it (FRM-6). */
  #body(
    session: Session,
    decoded: Extract<Decoded, { ok: true }>,
    payload: Buffer | undefined,
    binary: boolean,
  ): { readonly payload: Buffer | undefined; readonly encoding: PayloadKind } | undefined {
    if (decoded.data === undefined) return { payload, encoding: binary ? 'bytes' : 'json' };
    if (payload !== undefined) {
      this.#notUnderstood(session, 'give the payload behind the header or as "data", not both', idOf(decoded.frame));
      return undefined;
    }
    return { payload: Buffer.from(decoded.data), encoding: 'json' };
  }

  #dispatch(session: Session, frame: ClientFrame, payload: Buffer | undefined, encoding: PayloadKind): void {
    if ('id' in frame) {
      session.openIds ??= new Set();
      session.openIds.add(frame.id);
      if (session.openIds.size >= limits.commandsInFlight) session.updateReading();
    }
    switch (frame.op) {
      case 'hello':
        this.#hello(session, frame);
        break;
      case 'subscribe':
        this.#subscribe(session, frame.id, frame.single, frame.channels);
        break;
      case 'unsubscribe':
        this.#lane(session, frame.channel, (lane) =>
          lane.exclusive((done) => {
            this.#hub.unsubscribe(session, frame.channel);
            this.#ok(session, frame.id, {});
            done();
          }),
        );
        break;
      case 'append':
        this.#append(session, frame, payload, encoding);
        break;
      case 'signal':
        this.#signal(session, frame, payload, encoding);
        break;
      case 'token':
        this.#token(session, frame.id, frame.token);
        break;
      case 'report':
        this.#hub.figures.clientGaps += frame.gaps ?? 0;
        this.#hub.figures.clientDuplicates += frame.duplicates ?? 0;
        break;
      case 'pong':
        break;
      case 'enter':
      case 'leave':
      case 'call':
        this.#error(
          session,
          frame.id,
          { code: 'unsupported', message: `"${frame.op}" is reserved; this server does not serve it yet` },
          frame.op,
        );
        break;
      default:
        frame satisfies never;
    }
  }

  // Answers

  #ok(session: Session, id: number, result: Record<string, unknown>): void {
    session.openIds?.delete(id);
    session.send({ op: 'ok', id, ...result });
    if (session.paused) session.updateReading();
  }

  #error(session: Session, id: number | undefined, refusal: Refusal, op: string, channel?: string): void {
    if (id !== undefined) session.openIds?.delete(id);
    HubFigures.count(this.#hub.figures.errors, refusal.code);
    const ref = this.#host.refused(session, refusal.code, refusal.message, op, channel);
    session.send({
      op: 'error',
      ...(id === undefined ? {} : { id }),
      code: refusal.code,
      message: refusal.message,
      ref,
      ...(refusal.retryMs === undefined ? {} : { retryMs: refusal.retryMs }),
    });
    if (session.paused) session.updateReading();
  }

  #notUnderstood(session: Session, message: string, id: number | undefined): void {
    this.#error(session, id, { code: 'bad_frame', message }, 'unknown');
    if (++session.badInRow >= limits.badFramesInRow)
      session.close('bad_frame', `${limits.badFramesInRow} frames in a row were not understood`);
  }

  // Identity

  #hello(session: Session, frame: Extract<ClientFrame, { op: 'hello' }>): void {
    if (session.identity !== undefined) {
      this.#error(
        session,
        frame.id,
        { code: 'bad_frame', message: 'hello was said already; use "token" to refresh' },
        'hello',
      );
      return;
    }
    const early: Early[] = [];
    this.#early.set(session, early);
    this.#host.authenticate(session, frame.token).then(
      (identity) => {
        this.#early.delete(session);
        if (session.ended) return;
        session.instance = frame.instance;
        session.identity = identity;
        this.#watchExpiry(session, identity);
        const { about } = this.#host;
        const expiresInMs = this.#expiresInMs(identity);
        this.#ok(session, frame.id, {
          session: session.id,
          ...(identity.user === undefined ? {} : { user: identity.user }),
          pingMs: about.pingMs,
          ...(expiresInMs === undefined ? {} : { expiresInMs }),
          server: about.server,
          limits: { ...about.limits, ridWindowMs: this.#hub.ridWindowMs() },
        });
        for (const { decoded, payload, binary } of early) this.receive(session, decoded, payload, binary);
      },
      (error: unknown) => {
        this.#early.delete(session);
        if (session.ended) return;
        this.#error(session, frame.id, refusalOf(error), 'hello');
        for (const { decoded, payload, binary } of early) this.receive(session, decoded, payload, binary);
      },
    );
  }

  #expiresInMs(identity: Identity): number | undefined {
    return identity.expiresAtMs === undefined
      ? undefined
      : Math.max(0, Math.floor(identity.expiresAtMs - this.#hub.env.now()));
  }

  /** A session does not outlive its token (HEL-4). */
  #watchExpiry(session: Session, identity: Identity): void {
    this.#expiry.get(session)?.();
    this.#expiry.delete(session);
    const expiresInMs = this.#expiresInMs(identity);
    if (expiresInMs === undefined) return;
    const check = (): void => {
      if (session.ended) return;
      const left = this.#expiresInMs(identity) ?? 0;
      if (left > 0) this.#expiry.set(session, this.#hub.env.setTimer(Math.min(left, TIMER_MAX_MS), check));
      else session.close('token_expired', 'the token has expired');
    };
    this.#expiry.set(session, this.#hub.env.setTimer(Math.min(expiresInMs, TIMER_MAX_MS), check));
  }

  /** The session is over: nothing of it stays. */
  ended(session: Session): void {
    this.#expiry.get(session)?.();
    this.#expiry.delete(session);
  }

  #token(session: Session, id: number, token: string): void {
    this.#host.authenticate(session, token).then(
      async (identity) => {
        if (session.ended) return;
        if (!this.#host.isSameParty(session.identity ?? NAMELESS, identity)) {
          this.#error(
            session,
            id,
            { code: 'user_changed', message: 'the new token is for another user; open a new connection' },
            'token',
          );
          return;
        }
        session.identity = identity;
        this.#hub.figures.tokenRefreshes++;
        this.#watchExpiry(session, identity);
        const expiresInMs = this.#expiresInMs(identity);
        this.#ok(session, id, expiresInMs === undefined ? {} : { expiresInMs });
        await this.#recheck(session, identity);
      },
      (error: unknown) => this.#error(session, id, refusalOf(error), 'token'),
    );
  }

  /** A narrower token ends what it no longer allows (HEL-5). */
  async #recheck(session: Session, identity: Identity): Promise<void> {
    for (const channel of [...session.subscriptions.keys()]) {
      const refusal = await authorize(this.#hub.policy, identity, 'subscribe', channel);
      if (refusal === undefined || !session.subscriptions.has(channel)) continue;
      this.#hub.unsubscribe(session, channel);
      session.send({ op: 'unsubscribed', channel, code: 'forbidden' });
    }
  }

  // Channels

  #lane(session: Session, channel: string, use: (lane: Lane) => void): void {
    session.lanes ??= new Map();
    let lane = session.lanes.get(channel);
    if (lane === undefined) {
      if (session.lanes.size >= LANES_MAX) return session.close('overloaded', 'appends to too many channels at once');
      session.lanes.set(channel, (lane = new Lane()));
    }
    use(lane);
    if (lane.idle) session.lanes.delete(channel);
  }

  #laneDone(session: Session, channel: string, done: () => void): void {
    done();
    if (session.lanes?.get(channel)?.idle === true) session.lanes.delete(channel);
  }

  #subscribe(session: Session, id: number, single: boolean, items: readonly SubscribeItem[]): void {
    const results: (Subscribed | ItemError)[] = [];
    const starts: (() => void)[] = [];
    let open = items.length;
    const finish = (): void => {
      if (--open > 0 || session.ended) {
        if (open === 0) for (const start of starts) start();
        return;
      }
      const first = results[0] as Subscribed | ItemError;
      if (single && 'code' in first) this.#error(session, id, first, 'subscribe', first.channel);
      else this.#ok(session, id, single ? { ...first } : { channels: results });
      for (const start of starts) start();
    };
    items.forEach((item, index) => {
      this.#lane(session, item.channel, (lane) =>
        lane.exclusive((done) => {
          this.#subscribeOne(session, item, (result) => {
            if ('code' in result) {
              results[index] = single ? result : { ...result, channel: item.channel };
              starts.push(() => this.#laneDone(session, item.channel, done));
            } else {
              results[index] = result;
              starts.push(() => {
                if (!session.ended) this.#hub.subscribe(session, item.channel, result.cursor);
                this.#laneDone(session, item.channel, done);
              });
            }
            finish();
          });
        }),
      );
    });
  }

  #subscribeOne(session: Session, item: SubscribeItem, answer: (result: Subscribed | ItemError) => void): void {
    const { channel } = item;
    if (item.presence === true || item.deliver?.mode === 'latest' || item.from === 'latest') {
      answer({
        code: 'unsupported',
        message: 'presence and deliver "latest" are reserved; this server does not serve them yet',
      });
      return;
    }
    const onStart = (start: Start): void => {
      if (!start.ok) {
        answer({
          code: start.code,
          message: start.message,
          ...(start.retryMs === undefined ? {} : { retryMs: start.retryMs }),
        });
        return;
      }
      if (start.resumed !== undefined) HubFigures.count(this.#hub.figures.resumes, start.reason ?? 'resumed');
      const { head } = this.#hub.view(channel).state(channel);
      answer({
        channel,
        cursor: start.place,
        head: head === undefined || head < start.place ? start.place : head,
        ...(start.resumed === undefined ? {} : { resumed: start.resumed }),
        ...(start.reason === undefined ? {} : { reason: start.reason }),
      });
    };
    const onAllowed = (refusal: Refusal | undefined): void => {
      if (refusal !== undefined) return answer(refusal);
      if (!session.subscriptions.has(channel) && session.subscriptions.size >= this.#host.about.limits.subscriptions) {
        return answer({
          code: 'limit_exceeded',
          message: `a session has at most ${this.#host.about.limits.subscriptions} subscriptions`,
        });
      }
      const start = findStart(this.#hub.view(channel), channel, item.from, this.#hub.liveChannel(channel)?.ring);
      if (start instanceof Promise) start.then(onStart, () => answer(internal()));
      else onStart(start);
    };
    const history: Permission | undefined = item.from === undefined || item.from === 'now' ? undefined : 'history';
    const allowed = this.#may(session, ['subscribe', history], channel);
    if (allowed instanceof Promise) allowed.then(onAllowed, () => answer(internal()));
    else onAllowed(allowed);
  }

  /** The first refusal among several permissions. */
  #may(
    session: Session,
    permissions: readonly (Permission | undefined)[],
    channel: string,
  ): Refusal | undefined | Promise<Refusal | undefined> {
    for (const [index, permission] of permissions.entries()) {
      if (permission === undefined) continue;
      const refusal = authorize(this.#hub.policy, session.identity ?? NAMELESS, permission, channel);
      if (refusal instanceof Promise) {
        return refusal.then((first) => first ?? this.#may(session, permissions.slice(index + 1), channel));
      }
      if (refusal !== undefined) return refusal;
    }
    return undefined;
  }

  #append(
    session: Session,
    frame: Extract<ClientFrame, { op: 'append' }>,
    payload: Buffer | undefined,
    encoding: PayloadKind,
  ): void {
    const { id, channel } = frame;
    const submit = (lane: Lane, refusal: Refusal | undefined, done: () => void): void => {
      const settle = (result: Appended): void => {
        if (result.state === 'ok') {
          if (!session.ended)
            this.#ok(session, id, { cursor: result.cursor, ...(result.duplicate ? { duplicate: true } : {}) });
        } else {
          if (result.retryMs !== undefined) lane.refused = { code: result.code, message: result.message };
          if (!session.ended) this.#error(session, id, result, 'append', channel);
        }
        this.#laneDone(session, channel, done);
      };
      if (lane.refused !== undefined && frame.restart !== true) {
        return settle({ state: 'error', ...lane.refused, retryMs: timing.retryMs });
      }
      lane.refused = undefined;
      if (refusal !== undefined) return settle({ state: 'error', ...refusal });
      const identity = session.identity ?? NAMELESS;
      const appender = this.#hub.appender(channel);
      const request = {
        channel,
        encoding,
        payload,
        rid: frame.rid,
        key: frame.key,
        expect: frame.expect,
        trace: frame.trace,
      };
      if (!appender.knows(channel, identity.user, frame.rid)) {
        if (!this.#rate(session).takeRecord(this.#hub.env.monotonicMs())) {
          return settle({
            state: 'error',
            code: 'rate_limited',
            message: `at most ${this.#host.recordRatePerSecond} appends a second`,
            retryMs: timing.retryMs,
          });
        }
        const admitted = admitRecord(this.#hub.policy, identity, request, this.#hub.env.now());
        if ('code' in admitted) return settle({ state: 'error', ...admitted });
        if (this.#hub.view(channel).state(channel).closed)
          return settle({ state: 'error', code: 'channel_closed', message: `"${channel}" is closed` });
        return appender.append(admitted, settle);
      }
      appender.repeat(channel, identity.user, frame.rid, settle);
    };
    const allowed = authorize(this.#hub.policy, session.identity ?? NAMELESS, 'append', channel);
    this.#lane(session, channel, (lane) => {
      if (allowed instanceof Promise) {
        // While a policy function decides, nothing behind this append may overtake it.
        lane.exclusive(
          (done) =>
            void allowed.then(
              (refusal) => submit(lane, refusal, done),
              () => submit(lane, internal(), done),
            ),
        );
      } else lane.append((done) => submit(lane, allowed, done));
    });
  }

  #signal(
    session: Session,
    frame: Extract<ClientFrame, { op: 'signal' }>,
    payload: Buffer | undefined,
    encoding: PayloadKind,
  ): void {
    const { channel } = frame;
    const identity = session.identity ?? NAMELESS;
    const send = (refusal: Refusal | undefined): void => {
      if (refusal !== undefined) return this.#error(session, undefined, refusal, 'signal', channel);
      if (!this.#rate(session).takeSignal(this.#hub.env.monotonicMs())) {
        this.#hub.figures.signalsDropped++;
        return;
      }
      const refused = this.signal(
        { identity, instance: session.instance },
        { channel, key: frame.key, to: frame.to, encoding, payload: payload ?? NULL },
      );
      if (refused !== undefined) this.#error(session, undefined, refused, 'signal', channel);
    };
    const allowed = authorize(this.#hub.policy, identity, 'signal', channel);
    if (allowed instanceof Promise) void allowed.then(send, () => send(internal()));
    else send(allowed);
  }

  /** Checks and sends a signal that is permitted; the HTTP API shares it. */
  signal(
    from: { readonly identity: Identity; readonly instance: string },
    signal: {
      readonly channel: string;
      readonly key?: string | undefined;
      readonly to?: string | undefined;
      readonly encoding: PayloadKind;
      readonly payload: Buffer;
    },
  ): Refusal | undefined {
    const rules = this.#hub.policy.rules(signal.channel) as NamespaceRules;
    const admitted = admitPayload(this.#hub.policy, rules, signal, 'signal');
    if ('code' in admitted) return admitted;
    this.#hub.signal(
      signal.channel,
      { user: from.identity.user, instance: from.instance },
      { ...signal, payload: admitted.payload },
    );
    return undefined;
  }

  #rate(session: Session): Rate {
    let rate = this.#rates.get(session);
    if (rate === undefined) {
      rate = new Rate(this.#host.recordRatePerSecond, this.#host.signalRatePerSecond);
      this.#rates.set(session, rate);
    }
    return rate;
  }
}

/** The longest a Node timer can run. */
const TIMER_MAX_MS = 2 ** 31 - 1;
const NULL = Buffer.from('null');

function idOf(frame: ClientFrame): number | undefined {
  return 'id' in frame ? frame.id : undefined;
}

function internal(): Refusal {
  return { code: 'internal', message: 'the server could not decide; try again', retryMs: timing.retryMs };
}

function refusalOf(error: unknown): Refusal {
  if (error instanceof TidewayError)
    return {
      code: error.code,
      message: error.message,
      ...(error.retryMs === undefined ? {} : { retryMs: error.retryMs }),
    };
  return internal();
}
