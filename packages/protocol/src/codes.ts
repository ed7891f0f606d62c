/**
 * The one table of codes (PROTOCOL.md COD-1): wire, log, SDK, HTTP, metrics and documents use these strings.
 * What a client does about a code is a column here, never an `if` elsewhere.
 */

/**
 * What a client does by itself (COD-1): `never` the same again; `retry` after `retryMs` or with back-off; `refresh` the
 * token, then retry once.
 */
export type CodeAction = 'never' | 'retry' | 'refresh';

export interface CodeEntry {
  /** WebSocket close number, where the code can end a connection: 4000–4499 reconnect, 4500–4999 do not. */
  readonly close?: number;
  readonly action: CodeAction;
}

export const codes = {
  bad_frame: { close: 4500, action: 'never' },
  bad_cursor: { action: 'never' },
  too_large: { action: 'never' },
  unauthenticated: { close: 4501, action: 'refresh' },
  token_expired: { close: 4001, action: 'refresh' },
  forbidden: { close: 4502, action: 'never' },
  channel_unknown: { action: 'never' },
  channel_closed: { action: 'never' },
  method_unknown: { action: 'never' },
  invalid: { action: 'never' },
  conflict: { action: 'never' },
  limit_exceeded: { action: 'never' },
  rate_limited: { action: 'retry' },
  not_durable: { action: 'retry' },
  unconfirmed: { action: 'retry' },
  unanswered: { action: 'never' },
  behind: { action: 'retry' },
  overloaded: { close: 4002, action: 'retry' },
  user_changed: { close: 4503, action: 'never' },
  unsupported: { action: 'never' },
  not_found: { action: 'never' },
  method_not_allowed: { action: 'never' },
  slow_pong: { close: 4003, action: 'retry' },
  hello_timeout: { close: 4004, action: 'retry' },
  disconnected: { close: 4504, action: 'never' },
  going_away: { close: 4005, action: 'retry' },
  internal: { close: 4006, action: 'retry' },
} as const satisfies Readonly<Record<string, CodeEntry>>;

export type Code = keyof typeof codes;

/** The HTTP status of the same error; beside the table, as the meanings are: a client goes by the code. */
export const codeStatuses: Readonly<Record<Code, number>> = {
  bad_frame: 400,
  bad_cursor: 400,
  too_large: 413,
  unauthenticated: 401,
  token_expired: 401,
  forbidden: 403,
  channel_unknown: 404,
  channel_closed: 410,
  method_unknown: 404,
  invalid: 422,
  conflict: 409,
  limit_exceeded: 400,
  rate_limited: 429,
  not_durable: 503,
  unconfirmed: 503,
  unanswered: 504,
  behind: 503,
  overloaded: 503,
  user_changed: 409,
  unsupported: 501,
  not_found: 404,
  method_not_allowed: 405,
  slow_pong: 408,
  hello_timeout: 408,
  disconnected: 403,
  going_away: 503,
  internal: 500,
};

/**
 * One sentence for people; the error's own message says more. Beside the table and not in it, so that bundles which need
 * no documents leave the sentences out.
 */
export const codeMeanings: Readonly<Record<Code, string>> = {
  bad_frame: 'The frame, query or body was not understood.',
  bad_cursor: 'The cursor is not well-formed.',
  too_large: 'The record, signal, argument, result or body is over its limit.',
  unauthenticated: 'No valid credentials were given.',
  token_expired: 'The token has expired.',
  forbidden: 'This identity may not do that here.',
  channel_unknown: 'No such channel name or namespace.',
  channel_closed: 'The channel is closed; nothing more can be appended.',
  method_unknown: 'No node serves a method of this name.',
  invalid: 'The payload does not fit the contract of its channel.',
  conflict: 'The key was changed since the place named by `expect`.',
  limit_exceeded: 'A limit on the number of things is reached.',
  rate_limited: 'Too many in a short time.',
  not_durable: 'The log could not store it; it is not stored.',
  unconfirmed: 'It may be stored: repeat it with the same rid.',
  unanswered: 'The call has no outcome that is known: it may have been carried out.',
  behind: 'This node has not read the log that far yet.',
  overloaded: 'The server has no room for this now.',
  user_changed: 'The credentials are those of another user.',
  unsupported: 'A part of the protocol, or a coding of a body, that this server does not serve.',
  not_found: 'There is nothing at this path.',
  method_not_allowed: 'This path does not take that method.',
  slow_pong: 'Two pings were not answered.',
  hello_timeout: 'No successful hello in time.',
  disconnected: 'The server ended all connections of this user.',
  going_away: 'The server is stopping; reconnect elsewhere.',
  internal: 'A fault in the server; its log has the reference.',
};

export function isCode(text: string): text is Code {
  return Object.hasOwn(codes, text);
}

/** The code that a WebSocket close number stands for; `undefined` for the numbers that are not ours. */
export function codeOfClose(close: number): Code | undefined {
  for (const [code, entry] of Object.entries(codes)) if ('close' in entry && entry.close === close) return code as Code;
  return undefined;
}

/**
 * True when a client must not reconnect by itself after this close number (COD-3): 4500–4999, and 1002, 1007, 1009,
 * with which a peer says that what was sent can never be right.
 */
export function isFinalClose(close: number): boolean {
  return (close >= 4500 && close <= 4999) || close === 1002 || close === 1007 || close === 1009;
}

/** The one error of Tideway, on both sides: a code of the table, a message for people, and what else is known. */
export class TidewayError extends Error {
  readonly code: Code;
  /** Names the matching line in the server's log. */
  readonly ref: string | undefined;
  /** Present iff the same request may be tried again (COD-2): after this many milliseconds. */
  readonly retryMs: number | undefined;
  readonly details: Readonly<Record<string, unknown>> | undefined;

  constructor(
    code: Code,
    message: string,
    more: {
      readonly ref?: string | undefined;
      readonly retryMs?: number | undefined;
      readonly cause?: unknown;
      readonly details?: Readonly<Record<string, unknown>> | undefined;
    } = {},
  ) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause });
    this.name = 'TidewayError';
    this.code = code;
    this.ref = more.ref;
    this.retryMs = more.retryMs;
    this.details = more.details;
  }
}
