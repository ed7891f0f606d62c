/**
 * The fault hook (ARCHITECTURE.md, Determinism): cut, delay, slow, freeze, and drop acknowledgements of a connection.
 * Exists only where the server was started with faults; shared by tests, demo and console.
 */
import type { Code, PayloadKind, ServerFrame } from '@tideway/protocol';
import type { Env } from '../env.ts';
import type { Codec, Connection } from '../hub/connection.ts';
import { parseBody } from './exchange.ts';
import { badFrame } from './request-refusal.ts';

/** What is done to the connections of one client object. All absent: nothing. */
export interface Fault {
  /** Every chunk leaves this much later. */
  readonly delayMs?: number;
  /** No more than this leaves in a second. */
  readonly bytesPerSecond?: number;
  /** Nothing leaves. */
  readonly freeze?: boolean;
  /** `ok` frames of appends are lost on their way. */
  readonly dropAcknowledgements?: boolean;
}

/** A connection in whose way faults can be put. */
export class FaultyConnection implements Connection {
  readonly transport: Connection['transport'];
  readonly codec: Codec;
  /** Told whenever something held may have left: the session may have room again. */
  onRelease: (() => void) | undefined;
  /** Ends the connection without a word. */
  readonly cut: () => void;
  readonly #env: Env;
  readonly #inner: Connection;
  #fault: Fault = {};
  /** Chunks held back, and when each may leave. */
  #held: { readonly chunk: Buffer; readonly dueMs: number }[] = [];
  #heldBytes = 0;
  #timer = false;
  #sentBytes = 0;
  #windowMs = 0;

  constructor(env: Env, inner: Connection, cut: () => void) {
    this.cut = cut;
    this.#env = env;
    this.#inner = inner;
    this.transport = inner.transport;
    const { codec } = inner;
    this.codec = {
      name: codec.name,
      record: (frame) => codec.record(frame),
      frame: (frame: ServerFrame, payload?: { readonly encoding: PayloadKind; readonly bytes: Buffer }) =>
        this.#fault.dropAcknowledgements === true &&
        frame.op === 'ok' &&
        frame.cursor !== undefined &&
        frame.channel === undefined
          ? undefined
          : codec.frame(frame, payload),
    };
  }

  setFault(fault: Fault): void {
    this.#fault = fault;
    this.#release();
  }

  backlogBytes(): number {
    return this.#heldBytes + this.#inner.backlogBytes();
  }

  write(chunk: Buffer): void {
    const { delayMs, bytesPerSecond, freeze } = this.#fault;
    if (this.#held.length === 0 && delayMs === undefined && bytesPerSecond === undefined && freeze !== true) {
      this.#inner.write(chunk);
      return;
    }
    this.#held.push({ chunk, dueMs: this.#env.monotonicMs() + (delayMs ?? 0) });
    this.#heldBytes += chunk.length;
    this.#release();
  }

  writeAll(chunks: readonly Buffer[]): void {
    for (const chunk of chunks) this.write(chunk);
  }

  pause(): void {
    this.#inner.pause();
  }

  resume(): void {
    this.#inner.resume();
  }

  close(code: Code, reason: string): void {
    // What a fault holds back is lost with the connection, as it would be on a real network.
    this.#held = [];
    this.#heldBytes = 0;

    this.#inner.close(code, reason);
  }

  /** Lets out what is due and allowed; looks again later while something is held. */
  #release(): void {
    const now = this.#env.monotonicMs();
    const { bytesPerSecond, freeze } = this.#fault;
    if (now - this.#windowMs >= 1_000) {
      this.#windowMs = now;
      this.#sentBytes = 0;
    }
    while (this.#held.length > 0 && freeze !== true) {
      const next = this.#held[0] as { readonly chunk: Buffer; readonly dueMs: number };
      if (next.dueMs > now) break;
      if (bytesPerSecond !== undefined && this.#sentBytes > 0 && this.#sentBytes + next.chunk.length > bytesPerSecond)
        break;
      this.#held.shift();
      this.#heldBytes -= next.chunk.length;
      this.#sentBytes += next.chunk.length;
      this.#inner.write(next.chunk);
    }
    if (this.#held.length === 0 || this.#timer) return;
    this.#timer = true;
    this.#env.setTimer(RELEASE_MS, () => {
      this.#timer = false;
      this.#release();
      this.onRelease?.();
    });
  }
}

/** How often held chunks are looked at. */
const RELEASE_MS = 20;

/** Reads the body of a fault request: the members of `Fault`, or `{"cut":true}`. */
export function readFault(body: Buffer): Fault & { readonly cut: boolean } {
  const fields = Object(parseBody(body.toString('utf8') || '{}')) as Readonly<Record<string, unknown>>;
  const amount = (name: 'delayMs' | 'bytesPerSecond'): number | undefined => {
    const value = fields[name];
    if (value === undefined) return undefined;
    if (typeof value === 'number' && value >= 0 && value <= 1e9) return value;
    throw badFrame(`"${name}" must be a number from 0 to 1e9`);
  };
  const delayMs = amount('delayMs');
  const bytesPerSecond = amount('bytesPerSecond');
  return {
    cut: fields['cut'] === true,
    freeze: fields['freeze'] === true,
    dropAcknowledgements: fields['dropAcknowledgements'] === true,
    ...(delayMs === undefined ? {} : { delayMs }),
    ...(bytesPerSecond === undefined ? {} : { bytesPerSecond }),
  };
}
