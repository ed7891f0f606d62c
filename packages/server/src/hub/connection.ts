/**
 * What the hub asks of a transport: take chunks, say how much is still queued, close. A connection knows bytes; it
 * never knows a channel. Its codec says in which form frames are written on it.
 */
import type { Code, PayloadKind, ServerFrame } from '@tideway/protocol';

/** The form in which frames leave; one encoding per codec in use, shared by all its connections. */
export interface Codec {
  /** Distinguishes the encodings cached for a channel's tick. */
  readonly name: 'websocket' | 'sse' | 'sse-id';
  /** A stored record frame in this codec's form. */
  record(frame: Buffer): Buffer;
  /** Any other frame; `undefined` where this codec has no form for it (it is then not sent). */
  frame(frame: ServerFrame, payload?: { readonly encoding: PayloadKind; readonly bytes: Buffer }): Buffer | undefined;
}

export interface Connection {
  /** `link`: another process of this server. */
  readonly transport: 'websocket' | 'sse' | 'local' | 'link';
  readonly codec: Codec;
  /** What may wait to be sent on it, where that is not what the configuration says. */
  readonly outboxBytesMax?: number;
  /** Bytes handed over and not yet taken by the operating system. */
  backlogBytes(): number;
  /** Writes one chunk. */
  write(chunk: Buffer): void;
  /** Writes several chunks in one go. */
  writeAll(chunks: readonly Buffer[]): void;
  /** Stops reading what the peer sends, until `resume`. */
  pause(): void;
  resume(): void;
  /** Ends the connection after what was written; `code` says why. */
  close(code: Code, reason: string): void;
}
