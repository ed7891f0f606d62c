/**
 * What things are called on NATS: streams, subjects, and a channel as one token of a subject. A channel stands there as
 * it is, but for what a token must not hold: `.` `*` `>` `%`, spaces and controls are `%` and two hex digits each, as in
 * a URL. `chat:room.1` becomes `chat:room%2E1`.
 */

/** U+FFFD is what becomes of bytes that are not UTF-8: one that is meant is escaped. */
const RESERVED = /[\x00-\x20\x7f%*.>\ufffd]|\s/g;

/** The text as one token of a subject. */
export function subjectToken(text: string): string {
  return text.replace(RESERVED, (one) => {
    const escaped = encodeURIComponent(one);
    return escaped === one ? `%${one.charCodeAt(0).toString(16).toUpperCase()}` : escaped;
  });
}

/** The text of a token; `undefined` where its bytes or its escapes are not UTF-8. */
export function tokenText(token: string): string | undefined {
  if (token.includes('\ufffd')) return undefined;
  if (!token.includes('%')) return token;
  try {
    return decodeURIComponent(token);
  } catch {
    return undefined;
  }
}

/** The names of one log's streams and subjects. */
export class NatsNames {
  readonly #name: string;

  /** @param name letters, digits, `_` and `-` */
  constructor(name: string) {
    this.#name = name;
  }

  /** The stream of a partition. */
  stream(partition: number): string {
    return `${this.#name}-${partition}`;
  }

  /** What the stream of a partition takes: one token behind its number. */
  streamSubjects(partition: number): string {
    return `${this.#name}.${partition}.*`;
  }

  channelSubject(partition: number, channel: string): string {
    return `${this.#name}.${partition}.${subjectToken(channel)}`;
  }

  /** The channel of a record by its subject; `undefined` where that is no readable one. */
  channelOf(partition: number, subject: string): string | undefined {
    return tokenText(subject.slice(`${this.#name}.${partition}.`.length));
  }

  get constantsStream(): string {
    return `${this.#name}-constants`;
  }

  get constantsSubject(): string {
    return `${this.#name}.constants`;
  }

  signalSubject(subject: string): string {
    return `${this.#name}.signal.${subjectToken(subject)}`;
  }
}
