/**
 * Publishes to the partitions and says what became of each record. In order means here: behind the first record that is
 * not stored none of its channel is. So a channel has one record under way at a time; those of different channels go out
 * together.
 */
import type { Msg, NatsConnection, Subscription } from '@nats-io/transport-node';
import type { Env } from '../../env.ts';
import type { AppendOutcome } from '../log.ts';
import { encodeHeaders, publishedHeaders } from './nats-headers.ts';

/** A record as it goes out. */
export interface Publication {
  readonly subject: string;
  readonly value: Buffer;
  readonly headers: ReadonlyMap<string, string>;
}

export interface PublisherOptions {
  readonly connection: NatsConnection;
  readonly env: Env;
  readonly inbox: string;
}

const TOGETHER_RECORDS_MAX = 1_000;
const TOGETHER_BYTES_MAX = 8 * 1024 * 1024;
/** How often a partition without a leader is tried again. */
export const RETRY_MS = 150;
/** Less time than this is none: a try without an answer leaves unknown what is known to be refused. */
const LAST_MS = 150;
/** JetStream's errors for it: not available, no leader. */
const PASSING_CODES: readonly (number | undefined)[] = [10_008, 10_009];

interface Answer {
  readonly outcome: AppendOutcome;
  /** True where nothing was stored, for a reason that may pass: there is no leader at the moment. */
  readonly isPassing: boolean;
}

interface Attempt {
  readonly outcomes: readonly AppendOutcome[];
  readonly isPassing: boolean;
}

export class NatsPublisher {
  readonly #connection: NatsConnection;
  readonly #env: Env;
  readonly #inbox: string;
  readonly #subscription: Subscription;
  readonly #waiting = new Map<string, (answer: Answer) => void>();
  /** Ends those who wait for a leader. */
  readonly #pauses = new Set<() => void>();
  #count = 0;
  #isOver = false;

  constructor({ connection, env, inbox }: PublisherOptions) {
    this.#connection = connection;
    this.#env = env;
    this.#inbox = inbox;
    this.#subscription = connection.subscribe(`${inbox}.>`, { callback: (_, message) => this.#take(message) });
  }

  /** Never rejects. A partition that has no leader may get one within the deadline. */
  async publish(records: readonly Publication[], deadlineMs: number): Promise<readonly AppendOutcome[]> {
    const endMs = this.#env.monotonicMs() + deadlineMs;
    const outcomes: AppendOutcome[] = [];
    while (outcomes.length < records.length) {
      const together = togetherFrom(records, outcomes.length);
      const attempt = await this.#attempt(together, endMs - this.#env.monotonicMs());
      if (attempt.isPassing && !this.#isOver && endMs - this.#env.monotonicMs() > RETRY_MS + LAST_MS) {
        await this.#pause();
        continue;
      }
      outcomes.push(...attempt.outcomes);
      if (attempt.outcomes.every(({ state }) => state === 'stored')) continue;
      const rest = records.length - outcomes.length;
      for (let n = 0; n < rest; n++) outcomes.push(notSent('it was not sent: a record before it was not stored'));
    }
    return outcomes;
  }

  /** The connection is gone: what is under way may be stored or not. */
  end(why: string): void {
    this.#isOver = true;
    for (const endPause of this.#pauses) endPause();
    for (const give of this.#waiting.values()) give(unknown(why));
    this.#subscription.unsubscribe();
  }

  /** Records of different channels, each for itself. */
  async #attempt(records: readonly Publication[], deadlineMs: number): Promise<Attempt> {
    if (deadlineMs <= 0 || this.#isOver) {
      const why = this.#isOver ? 'the connection is gone' : 'the time for it was over before it could be sent';
      return { outcomes: records.map(() => notSent(why)), isPassing: false };
    }
    const answers = await Promise.all(records.map((record) => this.#publish(record, deadlineMs)));
    const failed = answers.findIndex(({ outcome }) => outcome.state !== 'stored');
    return {
      outcomes: answers.map(({ outcome }, n) =>
        failed >= 0 && n > failed && outcome.state === 'stored'
          ? { state: 'unknown', message: 'a record before it was not stored' }
          : outcome,
      ),
      isPassing: answers.every(({ isPassing }) => isPassing),
    };
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        cancel();
        this.#pauses.delete(end);
        resolve();
      };
      const cancel = this.#env.setTimer(RETRY_MS, end);
      this.#pauses.add(end);
    });
  }

  #publish({ subject, value, headers }: Publication, deadlineMs: number): Promise<Answer> {
    const id = this.#newId();
    return new Promise((resolve) => {
      const give = (answer: Answer): void => {
        this.#waiting.delete(id);
        cancel();
        resolve(answer);
      };
      const cancel = this.#env.setTimer(deadlineMs, () =>
        give(unknown(`no answer within ${Math.round(deadlineMs)} ms`)),
      );
      this.#waiting.set(id, give);
      const block = encodeHeaders(headers);
      try {
        this.#connection.publish(subject, value, {
          reply: `${this.#inbox}.${id}`,
          ...(block === undefined ? {} : { headers: publishedHeaders(block) }),
        });
      } catch (error) {
        // A closed connection, or a record over the server's limit.
        give(refused(error instanceof Error ? error.message : String(error)));
      }
    });
  }

  #take(message: Msg): void {
    this.#waiting.get(message.subject.slice(this.#inbox.length + 1))?.(answerOf(message));
  }

  #newId(): string {
    this.#count = (this.#count + 1) % Number.MAX_SAFE_INTEGER;
    return this.#count.toString(36);
  }
}

/** The records that may go out together: no two of one channel. */
function togetherFrom(records: readonly Publication[], from: number): readonly Publication[] {
  const subjects = new Set<string>();
  let bytes = 0;
  let to = from;
  for (; to < records.length && to - from < TOGETHER_RECORDS_MAX; to++) {
    const { subject, value } = records[to] as Publication;
    bytes += value.length;
    if (subjects.has(subject) || (to > from && bytes > TOGETHER_BYTES_MAX)) break;
    subjects.add(subject);
  }
  return records.slice(from, to);
}

function notSent(message: string): AppendOutcome {
  return { state: 'refused', code: 'not_durable', message };
}

function refused(message: string, isPassing = false): Answer {
  return { outcome: notSent(message), isPassing };
}

function unknown(message: string): Answer {
  return { outcome: { state: 'unknown', message }, isPassing: false };
}

function answerOf(message: Msg): Answer {
  if (message.headers?.code === 503) {
    return refused('nobody takes records of this partition: it has no leader, or is gone', true);
  }
  let answer: { readonly error?: { readonly description?: string; readonly err_code?: number } };
  try {
    answer = message.json();
  } catch {
    return unknown('an answer that is none');
  }
  if (answer.error === undefined) return { outcome: { state: 'stored' }, isPassing: false };
  const { description, err_code: code } = answer.error;
  return refused(`JetStream refused it: ${description ?? `error ${code}`}`, PASSING_CODES.includes(code));
}
