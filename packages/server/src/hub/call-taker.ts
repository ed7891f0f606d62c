/**
 * What a client's call does (PROTOCOL.md §8, Calls): looks at how fast it comes and what it carries, has it carried out
 * by whoever serves its method, and gives the answer once. Who may call what is decided where the method is served.
 */
import { isMethod, limits, timing, type ClientFrame, type PayloadKind } from '@tideway/protocol';
import type { Identity } from '../auth/identity.ts';
import { readJsonPayload } from '../log/json-payload.ts';
import type { Refusal } from './refusal.ts';
import type { Call, CallResult } from './call.ts';
import type { Hub } from './hub.ts';
import { Rate } from './rate.ts';
import type { Replies } from './replies.ts';
import type { Session } from './session.ts';

export interface CallHost {
  readonly callsPerSecond: number;
  /**
   * Has a call carried out, at most once, on this node or another. Never rejects.
   *
   * @param gone aborted when nobody waits for the answer any more
   */
  carryOut(call: Call, gone: AbortSignal): Promise<CallResult>;
}

/** A call before it was looked at. */
export interface AskedCall {
  readonly method: string;
  readonly encoding: PayloadKind;
  /** Absent: the argument is `null`. */
  readonly payload: Buffer | undefined;
}

const NULL = Buffer.from('null');

export class CallTaker {
  readonly #hub: Hub;
  readonly #host: CallHost;
  readonly #replies: Replies;
  readonly #rate: Rate;
  /** Aborted with their sessions; only of those that have called. */
  readonly #gone = new WeakMap<Session, AbortController>();

  constructor(hub: Hub, host: CallHost, replies: Replies) {
    this.#hub = hub;
    this.#host = host;
    this.#replies = replies;
    this.#rate = new Rate(host.callsPerSecond);
  }

  /** The most that an argument or a result may have. */
  get bytesMax(): number {
    return Math.min(limits.callBytes, this.#hub.recordLimit.largest);
  }

  /** Takes the frame of a session. */
  receive(
    session: Session,
    { id, method }: Extract<ClientFrame, { op: 'call' }>,
    payload: Buffer | undefined,
    encoding: PayloadKind,
  ): void {
    if (!this.#rate.take(session, this.#hub.env.monotonicMs())) {
      this.#hub.figures.hit('callsPerSecond');
      const message = `at most ${this.#host.callsPerSecond} calls a second`;
      return this.#replies.error(session, id, { code: 'rate_limited', message, retryMs: timing.retryMs }, 'call');
    }
    let gone = this.#gone.get(session);
    if (gone === undefined) this.#gone.set(session, (gone = new AbortController()));
    void this.take(session.identity as Identity, { method, encoding, payload }, gone.signal).then((result) => {
      if (session.ended) return;
      if ('code' in result) this.#replies.error(session, id, result, 'call');
      else this.#replies.ok(session, id, {}, { encoding: result.encoding, bytes: result.payload });
    });
  }

  /** Takes a call from anybody. Never rejects. */
  async take(identity: Identity, asked: AskedCall, gone: AbortSignal): Promise<CallResult> {
    const { method, encoding, payload = NULL } = asked;
    if (!isMethod(method)) return methodUnknown(method);
    const { bytesMax } = this;
    if (payload.length > bytesMax) {
      this.#hub.figures.hit('callBytes');
      const message = `the argument of a call holds at most ${bytesMax} bytes, got ${payload.length}`;
      return { code: 'too_large', message };
    }
    if (encoding === 'bytes') return this.#host.carryOut({ method, identity, encoding, payload }, gone);
    const json = readJsonPayload(payload);
    if ('fault' in json) return { code: 'bad_frame', message: json.fault };
    return this.#host.carryOut({ method, identity, encoding, payload: json.payload }, gone);
  }

  /** The session is over: nobody waits for its calls. */
  ended(session: Session): void {
    this.#gone.get(session)?.abort();
  }
}

export function methodUnknown(method: string): Refusal {
  const shown = JSON.stringify(
    method.length > limits.methodLength ? `${method.slice(0, limits.methodLength)}…` : method,
  );
  return { code: 'method_unknown', message: `no node serves a method ${shown}` };
}
