/** A call and what becomes of it (PROTOCOL.md §8, Calls), as everybody knows it who passes it on. */
import type { PayloadKind } from '@tideway/protocol';
import type { Identity } from '../auth/identity.ts';
import type { Who } from '../auth/permissions.ts';
import type { Refusal } from './refusal.ts';

/** A method of a server. */
export interface MethodOptions {
  /** Who may call it: `anyone`, `user`, `key`, a list of roles, or a function of identity and method. Default: nobody. */
  readonly call?: Who | undefined;
  /**
   * Carries it out. The argument is a JSON value, `null` where there was none, or a `Uint8Array`; so is the result, in
   * which `undefined` becomes `null`. A `TidewayError` that it throws is the caller's answer; anything else is `internal`.
   */
  readonly handle: (argument: unknown, caller: Caller) => unknown;
}

/** Who calls, and until when an answer is of use. */
export interface Caller extends Identity {
  /** Aborted when the caller has gone, or the call is `unanswered`. */
  readonly signal: AbortSignal;
}

/** A call that came in, its argument looked at already. */
export interface Call {
  readonly method: string;
  readonly identity: Identity;
  readonly encoding: PayloadKind;
  readonly payload: Buffer;
}

export type CallResult = { readonly encoding: PayloadKind; readonly payload: Buffer } | Refusal;

/** Nobody knows what became of it. */
export function unanswered(method: string, why: string): Refusal {
  return { code: 'unanswered', message: `${method}: ${why}; it may have been carried out` };
}
