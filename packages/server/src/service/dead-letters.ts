/** The dead letter channel of a group: what could not be handled, once, with what is needed to handle it later. */
import { backoffMs, CALLS } from './backoff.ts';
import { pause, type ServiceEnv } from './env.ts';
import { hasCode, type NodeCalls } from './node-calls.ts';
import type { ServiceRecord } from './options.ts';

/** Longer ones are cut: they are for a person to read. */
const ERROR_LENGTH_MAX = 2_000;

export class DeadLetters {
  readonly #env: ServiceEnv;
  readonly #calls: NodeCalls;
  readonly #group: string;
  readonly #channel: string;
  readonly #onError: (error: unknown) => void;

  constructor(parts: {
    readonly env: ServiceEnv;
    readonly calls: NodeCalls;
    readonly group: string;
    readonly channel: string;
    readonly onError: (error: unknown) => void;
  }) {
    this.#env = parts.env;
    this.#calls = parts.calls;
    this.#group = parts.group;
    this.#channel = parts.channel;
    this.#onError = parts.onError;
  }

  /** Tries until it is stored: a record is never let go of without. Rejects only when the signal is aborted. */
  async put(record: ServiceRecord, error: unknown, attempts: number, signal: AbortSignal): Promise<void> {
    const { data, id: _, ...head } = record;
    const text = (error instanceof Error ? `${error.name}: ${error.message}` : String(error)).slice(
      0,
      ERROR_LENGTH_MAX,
    );
    const letter = { group: this.#group, ...head, attempts, error: text };
    const payload =
      data instanceof Uint8Array ? { encoding: 'base64', data: Buffer.from(data).toString('base64') } : { data };
    let isWhole = true;
    for (let failures = 1; ; failures++) {
      try {
        // The same id each time: a letter that was put by a member that died is not put again.
        const rid = `${this.#group}/${record.cursor}`;
        const whole = { ...letter, ...(isWhole ? payload : { omitted: true }) };
        await this.#calls.append({ channel: this.#channel, rid, data: whole }, signal, this.#onError);
        return;
      } catch (failed) {
        if (signal.aborted) throw failed;
        // The payload is where the letter says, as long as its channel keeps it.
        if (hasCode(failed, 'too_large') && isWhole) isWhole = false;
        else {
          this.#onError(failed);
          await pause(this.#env, backoffMs(this.#env, CALLS, failures), signal);
        }
      }
    }
  }
}
