/**
 * What a client's frame does (PROTOCOL.md §4 to §8): takes frames from any two-way transport and answers each request
 * once. Order within a channel is the lane's business, admission `admission.ts`'s, delivery the hub's.
 */
import {
  limits,
  timing,
  type ClientFrame,
  type Decoded,
  type ItemError,
  type PayloadKind,
  type Subscribed,
  type SubscribeItem,
} from '@tideway/protocol';
import type { Identity } from '../auth/identity.ts';
import { admitRecord, authorize } from './admission.ts';
import { CallTaker, type CallHost } from './call-taker.ts';
import type { Hub } from './hub.ts';
import { Lane } from './lane.ts';
import { Rate } from './rate.ts';
import type { Appended, NewRecord } from './record-appender.ts';
import { UNDECIDED, type Refusal } from './refusal.ts';
import { Replies, type Refer } from './replies.ts';
import type { Session } from './session.ts';
import { SignIn, type SignInHost } from './sign-in.ts';
import { SignalSender, type SignalHost } from './signal-sender.ts';
import { answerSubscribe, isOutlived, tooMany, type Outcome } from './start.ts';

export interface CommandHost extends SignInHost, SignalHost, CallHost {
  readonly refer: Refer;
  readonly appendsPerSecond: number;
}

export class Commands {
  readonly signIn: SignIn;
  readonly replies: Replies;
  readonly signals: SignalSender;
  readonly calls: CallTaker;
  readonly #hub: Hub;
  readonly #host: CommandHost;
  readonly #appendRate: Rate;

  constructor(hub: Hub, host: CommandHost) {
    this.#hub = hub;
    this.#host = host;
    this.#appendRate = new Rate(host.appendsPerSecond);
    this.replies = new Replies(hub.figures, host.refer);
    this.signals = new SignalSender(hub, host, this.replies);
    this.calls = new CallTaker(hub, host, this.replies);
    this.signIn = new SignIn(hub, host, this.replies, (session, { decoded, payload, binary }) =>
      this.receive(session, decoded, payload, binary),
    );
  }

  /** Takes one frame. `payload` is what stood behind the header, `binary` the kind of the message. */
  receive(session: Session, decoded: Decoded, payload: Buffer | undefined, binary: boolean): void {
    if (session.ended) return;
    session.unansweredPings = 0;
    if (this.signIn.hold(session, { decoded, payload, binary })) return;
    if (!decoded.ok) {
      const open = decoded.id !== undefined && session.openIds?.has(decoded.id) === true;
      return this.replies.notUnderstood(session, decoded.message, open ? undefined : decoded.id);
    }
    const { frame } = decoded;
    const id = 'id' in frame ? frame.id : undefined;
    if (id !== undefined && session.openIds?.has(id) === true) {
      return this.replies.notUnderstood(session, `request id ${id} is still open`, undefined);
    }
    if (decoded.data !== undefined && payload !== undefined) {
      return this.replies.notUnderstood(session, 'give the payload behind the header or as "data", not both', id);
    }
    const body = decoded.data === undefined ? payload : Buffer.from(decoded.data);
    const encoding: PayloadKind = binary && decoded.data === undefined ? 'bytes' : 'json';
    if (body === undefined && (frame.op === 'append' || frame.op === 'signal')) {
      const message = `"${frame.op}" needs a payload: a line feed and the data behind its header`;
      return this.replies.notUnderstood(session, message, id);
    }
    session.badInRow = 0;
    if (session.identity === undefined && frame.op !== 'hello') {
      if (frame.op !== 'pong') this.replies.error(session, id, SAY_HELLO, frame.op);
      return;
    }
    if (id !== undefined) {
      session.openIds ??= new Set();
      session.openIds.add(id);
      if (session.openIds.size >= limits.commandsInFlight) {
        if (!session.paused) this.#hub.figures.hit('commandsInFlight');
        session.updateReading();
      }
    }
    this.#dispatch(session, frame, body, encoding);
  }

  #dispatch(session: Session, frame: ClientFrame, payload: Buffer | undefined, encoding: PayloadKind): void {
    switch (frame.op) {
      case 'hello':
        return this.signIn.hello(session, frame);
      case 'subscribe':
        return this.#subscribe(session, frame.id, frame.single, frame.channels);
      case 'unsubscribe':
        return this.#unsubscribe(session, frame.id, frame.channel);
      case 'append':
        return this.#append(session, frame, payload as Buffer, encoding);
      case 'signal':
        return this.signals.receive(session, frame, payload as Buffer, encoding);
      case 'token':
        return this.signIn.token(session, frame.id, frame.token);
      case 'report':
        this.#hub.figures.clientGaps += frame.gaps ?? 0;
        this.#hub.figures.clientDuplicates += frame.duplicates ?? 0;
        return;
      case 'pong':
        return;
      case 'call':
        return this.calls.receive(session, frame, payload, encoding);
      case 'enter':
      case 'leave': {
        const message = `"${frame.op}" is reserved; this server does not serve it yet`;
        return this.replies.error(session, frame.id, { code: 'unsupported', message }, frame.op);
      }
      default:
        frame satisfies never;
    }
  }

  /** The session is over. */
  ended(session: Session): void {
    this.signIn.ended(session);
    this.calls.ended(session);
  }

  #lane(session: Session, channel: string, use: (lane: Lane) => void): void {
    session.lanes ??= new Map();
    let lane = session.lanes.get(channel);
    if (lane === undefined) {
      if (session.lanes.size >= limits.channelsUnderWay) {
        return this.replies.close(session, 'overloaded', 'commands or refused appends on too many channels at once');
      }
      lane = new Lane();
      session.lanes.set(channel, lane);
    }
    use(lane);
    if (lane.idle) session.lanes.delete(channel);
  }

  #leaveLane(session: Session, channel: string, done: () => void): void {
    done();
    if (session.lanes?.get(channel)?.idle === true) session.lanes.delete(channel);
  }

  // Subscriptions

  #subscribe(session: Session, id: number, single: boolean, items: readonly SubscribeItem[]): void {
    const outcomes: Outcome[] = [];
    const searches: (() => void)[] = [];
    const leaves: (() => void)[] = [];
    let toFind = items.length;
    const found = (index: number, outcome: Outcome): void => {
      outcomes[index] = outcome;
      if (--toFind > 0) return;
      const again = session.ended ? [] : searches.filter((_, n) => isOutlived(this.#hub, outcomes[n] as Outcome));
      toFind = again.length;
      if (toFind === 0) this.#begin(session, { id, single, items, outcomes, leaves });
      for (const search of again) search();
    };
    let room = this.subscriptionsMax - session.subscriptions.size;
    items.forEach((item, index) => {
      this.#lane(session, item.channel, (lane) =>
        lane.exclusive((done) => {
          // One that is there already is replaced and takes no room.
          const hasRoom = session.subscriptions.has(item.channel) || room-- > 0;
          leaves[index] = () => this.#leaveLane(session, item.channel, done);
          searches[index] = () => {
            const result = this.#startOf(session, item, { hasRoom, isOnly: items.length === 1 });
            if (result instanceof Promise) void result.then((later) => found(index, later));
            else found(index, result);
          };
          searches[index]();
        }),
      );
    });
  }

  /** The answer goes out before the first record of any of them. */
  #begin(
    session: Session,
    asked: {
      readonly id: number;
      readonly single: boolean;
      readonly items: readonly SubscribeItem[];
      readonly outcomes: readonly Outcome[];
      readonly leaves: readonly (() => void)[];
    },
  ): void {
    const { id, single, items, outcomes, leaves } = asked;
    const results = outcomes.map((outcome, index): Subscribed | ItemError => {
      if ('answer' in outcome) return outcome.answer;
      return single ? outcome : { ...outcome, channel: (items[index] as SubscribeItem).channel };
    });
    const first = results[0] as Subscribed | ItemError;
    if (!session.ended) {
      if (single && 'code' in first) this.replies.error(session, id, first, 'subscribe', items[0]?.channel);
      else this.replies.ok(session, id, single ? { ...first } : { channels: results });
    }
    for (const [index, outcome] of outcomes.entries()) {
      if ('answer' in outcome && !session.ended)
        this.#hub.subscribe(session, outcome.answer.channel, outcome.deliverFrom, outcome.page);
      leaves[index]?.();
    }
  }

  /** How many subscriptions a session may have. */
  get subscriptionsMax(): number {
    return this.#host.about.limits.subscriptions;
  }

  #startOf(
    session: Session,
    item: SubscribeItem,
    { hasRoom, isOnly }: { readonly hasRoom: boolean; readonly isOnly: boolean },
  ): Outcome | Promise<Outcome> {
    if (hasRoom) return answerSubscribe(this.#hub, session.identity as Identity, item, isOnly);
    this.#hub.figures.hit('subscriptions');
    return tooMany(this.subscriptionsMax);
  }

  #unsubscribe(session: Session, id: number, channel: string): void {
    this.#lane(session, channel, (lane) =>
      lane.exclusive((done) => {
        this.#hub.unsubscribe(session, channel);
        this.replies.ok(session, id, {});
        this.#leaveLane(session, channel, done);
      }),
    );
  }

  // Appends

  #append(
    session: Session,
    frame: Extract<ClientFrame, { op: 'append' }>,
    payload: Buffer,
    encoding: PayloadKind,
  ): void {
    const { id, channel } = frame;
    const submit = (lane: Lane, refusal: Refusal | undefined, done: () => void): void => {
      const settle = (result: Appended): void => {
        if (result.state === 'error' && result.retryMs !== undefined)
          lane.refused = { code: result.code, message: result.message };
        if (!session.ended) {
          if (result.state === 'error') this.replies.error(session, id, result, 'append', channel);
          else
            this.replies.ok(session, id, { cursor: result.cursor, ...(result.duplicate ? { duplicate: true } : {}) });
        }
        this.#leaveLane(session, channel, done);
      };
      if (lane.refused !== undefined && frame.restart !== true) {
        return settle({ state: 'error', ...lane.refused, retryMs: timing.retryMs });
      }
      lane.refused = undefined;
      if (refusal !== undefined) settle({ state: 'error', ...refusal });
      else this.#store(session, frame, { payload, encoding, lane }, settle);
    };
    const allowed = authorize(this.#hub.policy, session.identity as Identity, 'append', channel);
    this.#lane(session, channel, (lane) => {
      if (allowed instanceof Promise) {
        // While a policy function decides, nothing behind this append may overtake it.
        lane.exclusive((done) => {
          allowed.then((refusal) => submit(lane, refusal, done)).catch(() => submit(lane, UNDECIDED, done));
        });
      } else lane.append((done) => submit(lane, allowed, done));
    });
  }

  /** A repeat is looked up before anything that could have changed since the first one was taken (APP-2). */
  #store(
    session: Session,
    frame: Extract<ClientFrame, { op: 'append' }>,
    { payload, encoding, lane }: { readonly payload: Buffer; readonly encoding: PayloadKind; readonly lane: Lane },
    settle: (result: Appended) => void,
  ): void {
    const { channel, rid, key, expect, trace } = frame;
    const identity = session.identity as Identity;
    const admit = (): NewRecord | Refusal => {
      if (!this.#appendRate.take(session, this.#hub.env.monotonicMs())) {
        this.#hub.figures.hit('appendsPerSecond');
        const message = `at most ${this.#host.appendsPerSecond} appends a second`;
        // What comes behind it is refused from now on, also where the answer has to wait for another process.
        lane.refused = { code: 'rate_limited', message };
        return { ...lane.refused, retryMs: timing.retryMs };
      }
      const request = { channel, encoding, payload, rid, key, expect, trace };
      const admitted = admitRecord(this.#hub, identity, request, this.#hub.env.now());
      if ('code' in admitted && admitted.code === 'too_large') this.#hub.figures.hit('recordBytes');
      return admitted;
    };
    this.#hub.backbones.appender(channel).submit({ channel, user: identity.user, rid }, admit, settle);
  }
}

const SAY_HELLO: Refusal = { code: 'unauthenticated', message: 'say hello first' };
