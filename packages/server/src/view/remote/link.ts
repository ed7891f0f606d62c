/**
 * A process's end of its link (PROTOCOL.md §15) to the one that has the log: requests with their answers, frames that
 * come by themselves, and whether the other end is there. Knows neither sockets nor channels.
 */
import { TidewayError, timing, type Code } from '@tideway/protocol';
import type { Env } from '../../env.ts';
import { frameHeadLength, frameText, frameWithPayload } from '../frame.ts';
import { FrameCutter } from './frame-cutter.ts';
import type { LinkAnswer, LinkFrame, LinkMessage, LinkNotice, LinkRequest } from './link-frames.ts';

/** The other end says something once a second; silent for so long it is taken to be stuck. */
const SILENT_MS = 5_000;
const LOOK_MS = 1_000;
/** Longer than anything the other end waits for by itself. */
const REQUEST_MS = 2 * timing.behindMs;
/** What may wait to be written. */
const BACKLOG_BYTES_MAX = 64 * 1024 * 1024;

/** The bytes of a link: a stream in both directions. */
export interface LinkWire {
  /** Writes chunks in one go. */
  write(chunks: readonly Buffer[]): void;
  /** Bytes handed over and not yet taken. */
  backlogBytes(): number;
}

const LF = 0x0a;
const FIN_TEXT = 0x81;

export type OnLinkAnswer = (answer: LinkAnswer | TidewayError, payload: Buffer | undefined) => void;

export class Link {
  readonly env: Env;
  /** Told each message that is no answer, in order. */
  onMessage: (message: LinkMessage) => void = () => {};
  /** Everything that was read at once has been told. */
  onReadEnd: () => void = () => {};
  /** The other end has fallen silent, or is back. */
  onSilence: (isSilent: boolean) => void = () => {};
  readonly #wire: LinkWire;
  readonly #cutter = new FrameCutter();
  readonly #open = new Map<number, OnLinkAnswer>();
  #nextId = 1;
  #outgoing: Buffer[] = [];
  #heardMs: number;
  #isSilent = false;
  #cancelLook: () => void;

  constructor(env: Env, wire: LinkWire) {
    this.env = env;
    this.#wire = wire;
    this.#heardMs = env.monotonicMs();
    this.#cancelLook = env.setTimer(LOOK_MS, () => this.#look());
  }

  get isSilent(): boolean {
    return this.#isSilent;
  }

  /** True while what waits to be written is over its limit: nothing more should be begun. */
  get isFull(): boolean {
    return this.#wire.backlogBytes() > BACKLOG_BYTES_MAX;
  }

  /** Takes what was read. */
  receive(chunk: Buffer): void {
    this.#heardMs = this.env.monotonicMs();
    if (this.#isSilent) this.#setSilent(false);
    this.#cutter.take(chunk, (bytes) => this.#take(bytes));
    this.onReadEnd();
  }

  #take(bytes: Buffer): void {
    const message = readLinkMessage(bytes);
    const { frame, payload } = message;
    if (frame.op !== 'ok' && frame.op !== 'error') return this.onMessage(message);
    this.onReadEnd();
    const onAnswer = this.#open.get(frame.id as number);
    if (onAnswer === undefined) return;
    this.#open.delete(frame.id as number);
    onAnswer(frame.op === 'ok' ? (frame as LinkAnswer) : errorOf(frame), payload);
  }

  /** Sends what needs no answer; goes out at the end of the tick, in order. */
  send(notice: LinkNotice, payload?: Buffer): void {
    this.#write(encodeLinkFrame(notice, payload));
  }

  /** Asks, and is called back once with the answer; nothing calls back while the other end says nothing. */
  ask(request: LinkRequest, onAnswer: OnLinkAnswer, payload?: Buffer, encoding?: 'json' | 'bytes'): void {
    const id = this.#nextId++;
    this.#open.set(id, onAnswer);
    this.#write(encodeLinkFrame({ ...request, id }, payload, encoding));
  }

  /**
   * The same with a deadline; rejects with the error of the answer, or `behind`.
   *
   * @param onOk told of the answer before anything that came behind it, also where it came too late
   */
  request(
    request: LinkRequest,
    {
      deadlineMs = REQUEST_MS,
      onOk,
    }: { readonly deadlineMs?: number; readonly onOk?: (answer: LinkAnswer) => void } = {},
  ): Promise<{ readonly answer: LinkAnswer; readonly payload: Buffer | undefined }> {
    return new Promise((resolve, reject) => {
      const cancel = this.env.setTimer(deadlineMs, () => reject(silentError()));
      this.ask(request, (answer, payload) => {
        cancel();
        if (answer instanceof TidewayError) return reject(answer);
        onOk?.(answer);
        resolve({ answer, payload });
      });
    });
  }

  close(): void {
    this.#cancelLook();
  }

  #write(chunk: Buffer): void {
    if (this.#outgoing.push(chunk) > 1) return;
    this.env.endOfTick(() => {
      const chunks = this.#outgoing;
      this.#outgoing = [];
      this.#wire.write(chunks);
    });
  }

  #look(): void {
    this.#cancelLook = this.env.setTimer(LOOK_MS, () => this.#look());
    if (!this.#isSilent && this.env.monotonicMs() - this.#heardMs > SILENT_MS) this.#setSilent(true);
  }

  #setSilent(isSilent: boolean): void {
    this.#isSilent = isSilent;
    this.onSilence(isSilent);
  }
}

/** A frame of a link, as one message. */
export function encodeLinkFrame(
  frame: { readonly op: string; readonly id?: number },
  payload?: Buffer,
  encoding: 'json' | 'bytes' = 'bytes',
): Buffer {
  const header = JSON.stringify(frame);
  return payload === undefined ? frameText(header) : frameWithPayload(header, encoding, payload);
}

/** Reads one message. */
export function readLinkMessage(bytes: Buffer): LinkMessage {
  const start = frameHeadLength(bytes);
  const lineEnd = bytes.indexOf(LF, start);
  const header = bytes.toString('utf8', start, lineEnd < 0 ? bytes.length : lineEnd);
  return {
    // Both ends are the same program.
    frame: JSON.parse(header) as LinkFrame,
    encoding: bytes[0] === FIN_TEXT ? 'json' : 'bytes',
    payload: lineEnd < 0 ? undefined : bytes.subarray(lineEnd + 1),
    bytes,
  };
}

/** What is said where the process with the log gives no answer. */
export function silentError(): TidewayError {
  const message = 'the process that has the log gives no answer';
  return new TidewayError('behind', message, { retryMs: timing.retryMs });
}

function errorOf(frame: LinkFrame): TidewayError {
  const { retryMs } = frame;
  return new TidewayError(frame.code as Code, frame.message ?? '', retryMs === undefined ? {} : { retryMs });
}
