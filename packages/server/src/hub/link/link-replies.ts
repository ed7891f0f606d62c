/** What is said on a link to the process that follows: answers to what it asks, each once, and what it did not ask for. */
import { TidewayError, timing } from '@tideway/protocol';
import { encodeLinkFrame } from '../../view/remote/link.ts';
import { errorRefusal, type Refusal } from '../refusal.ts';
import type { Session } from '../session.ts';

export class LinkReplies {
  readonly #session: Session;
  readonly #onTrouble: (error: unknown) => void;

  constructor(session: Session, onTrouble: (error: unknown) => void) {
    this.#session = session;
    this.#onTrouble = onTrouble;
  }

  send(
    frame: { readonly op: string; readonly id?: number; readonly [member: string]: unknown },
    payload?: Buffer,
  ): void {
    if (!this.#session.ended) this.#session.sendChunk(encodeLinkFrame(frame, payload));
  }

  ok(id: number | undefined, answer: object, payload?: Buffer): void {
    this.send({ op: 'ok', id: id as number, ...answer }, payload);
  }

  error(id: number | undefined, { code, message, retryMs }: Refusal): void {
    this.send({ op: 'error', id: id as number, code, message, ...(retryMs === undefined ? {} : { retryMs }) });
  }

  /** Whatever was asked could not be answered. */
  fail(id: number | undefined, error: unknown): void {
    if (!(error instanceof TidewayError)) this.#onTrouble(error);
    if (id !== undefined) this.error(id, error instanceof TidewayError ? errorRefusal(error) : FAULT);
  }
}

const FAULT: Refusal = {
  code: 'internal',
  message: 'a fault in the process that has the log',
  retryMs: timing.retryMs,
};
