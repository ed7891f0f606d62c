/**
 * What carries frames between this client and a server, whatever it is made of: the connection above it never knows
 * whether a WebSocket or a pair of SSE and POST is below.
 */
import { type ClientFrame, type ItemError, type ServerFrame, TidewayError } from '@tideway/protocol';

/** JSON as text, or opaque bytes. */
export type Payload = string | Uint8Array;

/** A frame of the server; ops that this client does not know come through as well and are ignored (FRM-8). */
export interface LinkEvents {
  onOpen(): void;
  onFrame(frame: ServerFrame, payload: Payload | undefined): void;
  /** The link is gone, without a close number where it broke; comes once and last, and not after `close`. */
  onClose(close?: number): void;
}

export interface Link {
  send(frame: ClientFrame, payload?: Payload): void;
  /** Makes the server say anything at all, so that silence afterwards means it is gone. */
  probe(): void;
  /** Ends the link; no event follows. */
  close(): void;
}

const utf8 = new TextEncoder();

/** True when a payload has more bytes than that; text is only encoded where its length leaves it open. */
export function isLargerThan(payload: Payload, bytesMax: number): boolean {
  if (payload.length > bytesMax) return true;
  if (typeof payload !== 'string' || payload.length * 3 <= bytesMax) return false;
  return utf8.encode(payload).length > bytesMax;
}

export function errorOf(error: ItemError): TidewayError {
  return new TidewayError(error.code, error.message, error);
}
