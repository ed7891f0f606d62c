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
  /** HTTP status of the same error. */
  readonly http: number;
  /** WebSocket close number, where the code can end a connection: 4000–4499 reconnect, 4500–4999 do not. */
  readonly close?: number;
  readonly action: CodeAction;
}

export const codes = {
  bad_frame: { http: 400, close: 4500, action: 'never' },
  bad_cursor: { http: 400, action: 'never' },
  too_large: { http: 413, action: 'never' },
  unauthenticated: { http: 401, close: 4501, action: 'refresh' },
  token_expired: { http: 401, close: 4001, action: 'refresh' },
  forbidden: { http: 403, close: 4502, action: 'never' },
  channel_unknown: { http: 404, action: 'never' },
  channel_closed: { http: 410, action: 'never' },
  invalid: { http: 422, action: 'never' },
  conflict: { http: 409, action: 'never' },
  limit_exceeded: { http: 400, action: 'never' },
  rate_limited: { http: 429, action: 'retry' },
  not_durable: { http: 503, action: 'retry' },
  unconfirmed: { http: 503, action: 'retry' },
  behind: { http: 503, action: 'retry' },
  overloaded: { http: 503, close: 4002, action: 'retry' },
  user_changed: { http: 409, close: 4503, action: 'never' },
  unsupported: { http: 501, action: 'never' },
  not_found: { http: 404, action: 'never' },
  method_not_allowed: { http: 405, action: 'never' },
  slow_pong: { http: 408, close: 4003, action: 'retry' },
  hello_timeout: { http: 408, close: 4004, action: 'retry' },
  disconnected: { http: 403, close: 4504, action: 'never' },
  going_away: { http: 503, close: 4005, action: 'retry' },
  internal: { http: 500, close: 4006, action: 'retry' },
} as const satisfies Readonly<Record<string, CodeEntry>>;

export type Code = keyof typeof codes;

/**
 * One sentence for people; the error's own message says more. Beside the table and not in it, so that bundles which need
 * no documents leave the sentences out.
 */
export const codeMeanings: Readonly<Record<Code, string>> = {
  bad_frame: 'The frame, query or body was not understood.',
  bad_cursor: 'The cursor is not well-formed.',
  too_large: 'The record, signal or body is over its limit.',
  unauthenticated: 'No valid credentials were given.',
  token_expired: 'The token has expired.',
  forbidden: 'This identity may not do that here.',
  channel_unknown: 'No such channel name or namespace.',
  channel_closed: 'The channel is closed; nothing more can be appended.',
  invalid: 'The payload does not fit the contract of its channel.',
  conflict: 'The key was changed since the place named by `expect`.',
  limit_exceeded: 'A limit on the number of things is reached.',
  rate_limited: 'Too many in a short time.',
  not_durable: 'The log could not store it; it is not stored.',
  unconfirmed: 'It may be stored: repeat it with the same rid.',
  behind: 'This node has not read the log that far yet.',
  overloaded: 'The server has no room for this now.',
  user_changed: 'The credentials are those of another user.',
  unsupported: 'Part of the protocol that this server does not serve yet.',
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
