/**
 * What a client's signal does (PROTOCOL.md §8): asks whether it may, how fast, and what it carries; hands it to this
 * node's sessions, then to the other nodes. Answers nothing but a refusal. What followers get of it is `signal.ts`.
 */
import { limits, type ClientFrame, type PayloadKind } from '@tideway/protocol';
import type { Identity } from '../auth/identity.ts';
import { admitPayload, authorize } from './admission.ts';
import type { Hub } from './hub.ts';
import type { NamespaceRules } from './policy.ts';
import { Rate } from './rate.ts';
import { UNDECIDED, type Refusal } from './refusal.ts';
import type { Replies } from './replies.ts';
import type { Session } from './session.ts';
import type { SentSignal } from './signal.ts';

export interface SignalHost {
  readonly signalsPerSecond: number;
  /** A signal was sent to this node's sessions: the other nodes' are next. */
  relaySignal(signal: SentSignal): void;
}

export class SignalSender {
  readonly #hub: Hub;
  readonly #host: SignalHost;
  readonly #replies: Replies;
  readonly #rate: Rate;

  constructor(hub: Hub, host: SignalHost, replies: Replies) {
    this.#hub = hub;
    this.#host = host;
    this.#replies = replies;
    this.#rate = new Rate(host.signalsPerSecond);
  }

  /** Takes the frame of a session. */
  receive(
    session: Session,
    frame: Extract<ClientFrame, { op: 'signal' }>,
    payload: Buffer,
    encoding: PayloadKind,
  ): void {
    const { channel } = frame;
    const identity = session.identity as Identity;
    const send = (refusal: Refusal | undefined): void => {
      if (session.ended) return;
      if (refusal === undefined && !this.#rate.take(session, this.#hub.env.monotonicMs())) {
        this.#hub.figures.signalsDropped++;
        this.#hub.figures.hit('signalsPerSecond');
        return;
      }
      const signal = { channel, key: frame.key, to: frame.to, encoding, payload };
      const refused = refusal ?? this.send({ identity, instance: session.instance }, signal);
      if (refused === undefined) return;
      this.#replies.error(
        session,
        undefined,
        refused.message.includes(channel) ? refused : { ...refused, message: `${channel}: ${refused.message}` },
        'signal',
        channel,
      );
    };
    const allowed = authorize(this.#hub.policy, identity, 'signal', channel);
    if (allowed instanceof Promise) allowed.then(send).catch(() => send(UNDECIDED));
    else send(allowed);
  }

  /** Checks and sends a signal that is permitted. */
  send(
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
    const admitted = admitPayload(this.#hub.policy, rules, signal, 'signal', limits.signalBytes);
    if ('code' in admitted) {
      if (admitted.code === 'too_large') this.#hub.figures.hit('signalBytes');
      return admitted;
    }
    const { channel, key, to, encoding } = signal;
    const { instance } = from;
    const sent = { channel, user: from.identity.user, instance, key, to, encoding, payload: admitted.payload };
    this.#hub.signal(sent);
    this.#host.relaySignal(sent);
    return undefined;
  }
}
