/** Answers to a session's requests: each id gets exactly one, each refusal a reference into the log (PROTOCOL.md WS-4). */
import { limits, type Code } from '@tideway/protocol';
import { HubFigures } from './figures.ts';
import { withRetry, type Refusal } from './refusal.ts';
import type { Session } from './session.ts';

/** Writes a refusal to the log; returns the reference both share. */
export type Refer = (session: Session, refusal: Refusal, op: string, channel: string | undefined) => string;

export class Replies {
  readonly #figures: HubFigures;
  readonly #refer: Refer;

  constructor(figures: HubFigures, refer: Refer) {
    this.#figures = figures;
    this.#refer = refer;
  }

  ok(
    session: Session,
    id: number,
    result: Readonly<Record<string, unknown>>,
    payload?: Parameters<Session['send']>[1],
  ): void {
    session.openIds?.delete(id);
    session.send({ op: 'ok', id, ...result }, payload);
    if (session.paused) session.updateReading();
  }

  error(session: Session, id: number | undefined, refusal: Refusal, op: string, channel?: string): void {
    if (id !== undefined) session.openIds?.delete(id);
    HubFigures.count(this.#figures.errors, refusal.code);
    const { code, message, retryMs } = withRetry(refusal);
    session.send({
      op: 'error',
      ...(id === undefined ? {} : { id }),
      code,
      message,
      ref: this.#refer(session, refusal, op, channel),
      ...(retryMs === undefined ? {} : { retryMs }),
    });
    if (session.paused) session.updateReading();
  }

  /** A frame that was not understood; ten in a row end the connection (FRM-7). */
  notUnderstood(session: Session, message: string, id: number | undefined): void {
    this.error(session, id, { code: 'bad_frame', message }, 'unknown');
    if (++session.badInRow >= limits.badFramesInRow) {
      this.close(session, 'bad_frame', `${limits.badFramesInRow} frames in a row were not understood`);
    }
  }

  /** Ends the connection: an error that says why, then the close (CLS-3). */
  close(session: Session, code: Code, reason: string): void {
    if (session.ended) return;
    this.error(session, undefined, { code, message: reason }, 'connection');
    session.close(code, reason);
  }
}
