/** What a consumer is made with: checked once, where it comes in. */
import { isGlob, type GapReason } from '@tideway/protocol';
import { serviceEnv, type ServiceEnv } from './env.ts';

/** A record as a consumer is given it. */
export interface ServiceRecord {
  /** Unique in the log, and the same each time the record is given: its cursor. At most 64 characters, fit for an `Idempotency-Key`. */
  readonly id: string;
  readonly channel: string;
  readonly cursor: string;
  /** Milliseconds since 1970 by the node that appended it; absent on records of foreign producers without a clock. */
  readonly time?: number;
  /** As its writer gave it. */
  readonly rid?: string;
  readonly user?: string;
  readonly key?: string;
  /** A W3C `traceparent`. */
  readonly trace?: string;
  /** What JSON says, or the bytes of a record that holds bytes. */
  readonly data: unknown;
}

export interface Attempt {
  /** 1 at first. */
  readonly attempt: number;
  /** Aborted when the record is no longer this member's to handle: another one handles it again. */
  readonly signal: AbortSignal;
}

/** Records that will not come. */
export interface ServiceGap {
  /**
   * `trimmed`: they are no longer kept. `diverged` and `epoch`: the log was rewound, or is another one; all that it holds
   * comes, also what was handled before.
   */
  readonly reason: GapReason;
  readonly partition: number;
  /** The one channel whose records they were; absent where it is the whole partition. */
  readonly channel?: string;
}

export interface ConsumeOptions {
  /** The server, or what stands before several of them. */
  readonly url: string;
  /** An API key that may read the history of `channels`, and append to the group's channel and the dead letter channel. A server in development takes none. */
  readonly key?: string;
  /** 1–32 of `A–Z a–z 0–9 _ . -`: consumers with the same name share the work. */
  readonly group: string;
  /** Whose records: channels, or the beginnings of some with `*` behind them. The same for every member of the group. */
  readonly channels: readonly string[];
  /** Handles one record; it is done when the promise resolves, and tried again when it rejects. */
  readonly handle: (record: ServiceRecord, attempt: Attempt) => Promise<void> | void;
  /** How many records are handled at the same time, of as many channels; 16 by default. */
  readonly concurrency?: number;
  /** After `attempts` (5) a record goes to the dead letter channel; before each there is a wait of `minMs` (200) that doubles up to `maxMs` (30,000). */
  readonly retry?: { readonly attempts?: number; readonly minMs?: number; readonly maxMs?: number };
  /** Where records go that could not be handled; `dead:<group>` by default. */
  readonly deadLetter?: string;
  /** Where a group begins that has no state yet: `oldest` (default) or `now`. */
  readonly from?: 'oldest' | 'now';
  /** Where the group keeps its state; `group:<group>` by default. */
  readonly state?: string;
  /** A member that says nothing for so long loses its work to the others; 15,000 by default. */
  readonly leaseMs?: number;
  /** Told of records that will not come. */
  readonly onGap?: (gap: ServiceGap) => void;
  /** Told of each record that went to the dead letter channel, and of the last error. */
  readonly onDead?: (record: ServiceRecord, error: unknown) => void;
  /** Told of what goes wrong besides: a server that cannot be reached, a permission that is missing. It goes on by itself. */
  readonly onError?: (error: unknown) => void;
  /** Clock, randomness, timers and network; the real ones by default. */
  readonly env?: ServiceEnv;
}

/** The options with their defaults. */
export interface Settings extends Required<Omit<ConsumeOptions, 'key' | 'retry' | 'onGap' | 'onDead' | 'onError'>> {
  readonly key: string | undefined;
  readonly retry: { readonly attempts: number; readonly minMs: number; readonly maxMs: number };
  readonly onGap: (gap: ServiceGap) => void;
  readonly onDead: (record: ServiceRecord, error: unknown) => void;
  readonly onError: (error: unknown) => void;
}

/** @throws RangeError in words: which option, its value, and what is allowed */
export function settingsOf(options: ConsumeOptions): Settings {
  const { url, group, channels, retry = {}, env = serviceEnv } = options;
  const { attempts = 5, minMs = 200, maxMs = 30_000 } = retry;
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol))
    throw wrong('url', url, 'an http or https URL is allowed');
  if (!/^[A-Za-z0-9_.-]{1,32}$/.test(group)) throw wrong('group', group, '1–32 of A–Z a–z 0–9 _ . - are allowed');
  if (channels.length < 1 || channels.length > 100) throw wrong('channels', channels.length, '1 to 100 are allowed');
  for (const glob of channels) {
    if (!isGlob(glob) || glob === '*') throw wrong('channels', glob, 'a channel, or order:* for all of a namespace');
  }
  if (options.from !== undefined && options.from !== 'oldest' && options.from !== 'now')
    throw wrong('from', options.from, '"oldest" or "now" is allowed');
  const whole = (name: string, value: number, min: number, max: number): number => {
    if (Number.isInteger(value) && value >= min && value <= max) return value;
    throw wrong(name, value, `a whole number from ${min} to ${max} is allowed`);
  };
  return {
    url: url.replace(/\/+$/, ''),
    key: options.key,
    group,
    channels: [...new Set(channels)].toSorted(),
    handle: options.handle,
    concurrency: whole('concurrency', options.concurrency ?? 16, 1, 1_000),
    retry: {
      attempts: whole('retry.attempts', attempts, 1, 1_000),
      minMs: whole('retry.minMs', minMs, 1, 3_600_000),
      maxMs: whole('retry.maxMs', maxMs, 1, 3_600_000),
    },
    deadLetter: options.deadLetter ?? `dead:${group}`,
    from: options.from ?? 'oldest',
    state: options.state ?? `group:${group}`,
    leaseMs: whole('leaseMs', options.leaseMs ?? 15_000, 300, 3_600_000),
    onGap: harmless(env, options.onGap ?? (() => {})),
    onDead: harmless(env, options.onDead ?? (() => {})),
    onError: harmless(env, options.onError ?? ((error) => env.complain(error))),
    env,
  };
}

/** A function of the application that throws when it is told something harms nobody else. */
function harmless<Told extends readonly unknown[]>(env: ServiceEnv, tell: (...told: Told) => void) {
  return (...told: Told): void => {
    try {
      tell(...told);
    } catch (error) {
      env.complain(error);
    }
  };
}

function wrong(option: string, value: unknown, allowed: string): RangeError {
  return new RangeError(`consume: ${option} is ${JSON.stringify(value)}; ${allowed}`);
}
