/**
 * Appends through a link (PROTOCOL.md §15) to the process that has the log. Each record is answered once; one of which
 * no answer came is `unconfirmed`. The order within a channel is kept as a client keeps it (APP-3).
 */
import { TidewayError, timing } from '@tideway/protocol';
import type { LinkRequest } from '../../view/remote/link-frames.ts';
import type { Link } from '../../view/remote/link.ts';
import type { RemoteView } from '../../view/remote/remote-view.ts';
import type { Appended, NewRecord, OnAnswered, OnAppended, RecordAppender, RecordId } from '../record-appender.ts';
import { errorRefusal, type Refusal } from '../refusal.ts';

interface Waiting {
  readonly record: NewRecord;
  readonly callback: OnAppended;
  readonly sinceMs: number;
}

/** The appends of one channel that are on the link. */
interface Line {
  inFlight: number;
  /** The number of the last append that said `restart`: a refusal of an earlier one was answered by it. */
  restartedBy: number;
  /** Something was refused that may come again: the next append says `restart`. */
  isRefused: boolean;
}

export class LinkAppender implements RecordAppender {
  readonly #link: Link;
  readonly #view: RemoteView;
  readonly #onAnswered: OnAnswered;
  readonly #waiting = new Map<number, Waiting>();
  readonly #lines = new Map<string, Line>();
  #serial = 0;
  #isSweeping = false;
  #idle: (() => void)[] = [];

  constructor(link: Link, view: RemoteView, onAnswered: OnAnswered) {
    this.#link = link;
    this.#view = view;
    this.#onAnswered = onAnswered;
  }

  get inFlight(): number {
    return this.#waiting.size;
  }

  submit({ channel, user, rid }: RecordId, admit: () => NewRecord | Refusal, callback: OnAppended): void {
    const admitted = admit();
    if (!('code' in admitted)) return this.append(admitted, callback);
    const refused: Appended = { state: 'error', ...admitted };
    if (rid === undefined || this.#link.isSilent) return callback(refused);
    // A repeat is answered as the first one was, whatever has changed since (APP-2).
    this.#link.ask({ op: 'recall', channel, user, rid }, (answer) => {
      if (answer instanceof TidewayError) callback(errorOf(answer));
      else if (answer['cursor'] === undefined) callback(refused);
      else callback({ state: 'ok', cursor: answer['cursor'] as string, duplicate: true });
    });
  }

  append(record: NewRecord, callback: OnAppended): void {
    if (this.#link.isSilent) return callback(refusal('not_durable', 'the process that has the log gives no answer'));
    if (this.#link.isFull) return callback(refusal('overloaded', 'the process that has the log takes nothing now'));
    const serial = this.#serial++;
    this.#waiting.set(serial, { record, callback, sinceMs: this.#link.env.monotonicMs() });
    const { payload, encoding, ...header } = record;
    const line = this.#line(record.channel);
    line.inFlight++;
    let request: LinkRequest = { op: 'store', ...header };
    if (line.isRefused) {
      request = { ...request, restart: true };
      line.isRefused = false;
      line.restartedBy = serial;
    }
    this.#link.ask(
      request,
      (answer) => {
        line.inFlight--;
        const isError = answer instanceof TidewayError;
        if (isError && answer.retryMs !== undefined && serial >= line.restartedBy) line.isRefused = true;
        if (line.inFlight === 0) this.#leave(record.channel, line);
        if (isError) this.#finish(serial, errorOf(answer));
        else this.#stored(serial, record, answer);
      },
      payload,
      encoding,
    );
    this.#sweep();
  }

  #line(channel: string): Line {
    let line = this.#lines.get(channel);
    if (line === undefined) {
      line = { inFlight: 0, restartedBy: -1, isRefused: false };
      this.#lines.set(channel, line);
    }
    return line;
  }

  /** Nothing of the channel is on the link: whatever comes next is a new beginning. */
  #leave(channel: string, line: Line): void {
    if (line.isRefused) this.#link.send({ op: 'restart', channel });
    this.#lines.delete(channel);
  }

  /** It can be read here before its writer is told so (APP-1); what is no record moves no place. */
  #stored(serial: number, record: NewRecord, answer: { readonly [member: string]: unknown }): void {
    const cursor = answer['cursor'] as string;
    const finish = (): void => this.#finish(serial, { state: 'ok', cursor, duplicate: answer['duplicate'] === true });
    if (record.kind === 'data') this.#view.whenHeld(record.channel, cursor, finish);
    else finish();
  }

  #finish(serial: number, result: Appended): void {
    const waiting = this.#waiting.get(serial);
    // Answered already: it had waited too long.
    if (waiting === undefined) return;
    this.#waiting.delete(serial);
    this.#onAnswered(waiting.record, result, this.#link.env.monotonicMs() - waiting.sinceMs);
    waiting.callback(result);
    if (this.#waiting.size === 0) for (const resolve of this.#idle.splice(0)) resolve();
  }

  async drained(): Promise<void> {
    if (this.#waiting.size === 0) return;
    await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  /** Answers `unconfirmed` to what has waited longer than the other end lets it; one timer for all. */
  #sweep(): void {
    if (this.#isSweeping) return;
    this.#isSweeping = true;
    this.#link.env.setTimer(SWEEP_MS, () => {
      this.#isSweeping = false;
      const oldestMs = this.#link.env.monotonicMs() - timing.appendMs - SWEEP_MS;
      for (const [serial, { sinceMs }] of this.#waiting) {
        if (sinceMs > oldestMs) break;
        this.#finish(serial, refusal('unconfirmed', 'no answer came in time; repeat it with the same rid'));
      }
      if (this.#waiting.size > 0) this.#sweep();
    });
  }
}

const SWEEP_MS = 1_000;

function refusal(code: 'not_durable' | 'overloaded' | 'unconfirmed', message: string): Appended {
  return { state: 'error', code, message, retryMs: timing.retryMs };
}

function errorOf(error: TidewayError): Appended {
  return { state: 'error', ...errorRefusal(error) };
}
