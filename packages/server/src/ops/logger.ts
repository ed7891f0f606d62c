/**
 * The server's log of itself: one JSON line a fact, from a closed list of events; lines that repeat are counted, not
 * written. Never a token, a key or a payload: the fields are a closed list too, and texts are looked through.
 */
import { randomId, type Env } from '../env.ts';
import { logEvents, type LogEvent, type LogLevel } from './logger-events.ts';

/** What a line may say besides its event. Nothing here ever holds credentials or what people send each other. */
export interface LogFields {
  readonly session?: string | undefined;
  readonly user?: string | undefined;
  readonly keyName?: string | undefined;
  /** Another node's id. */
  readonly node?: string | undefined;
  readonly namespace?: string | undefined;
  readonly channel?: string | undefined;
  readonly cursor?: string | undefined;
  readonly code?: string | undefined;
  readonly op?: string | undefined;
  readonly reason?: string | undefined;
  readonly transport?: string | undefined;
  readonly remoteAddress?: string | undefined;
  readonly origin?: string | undefined;
  readonly url?: string | undefined;
  readonly path?: string | undefined;
  readonly message?: string | undefined;
  readonly stack?: string | undefined;
  /** Of the log, where only some take no records. */
  readonly partitionsDown?: readonly number[] | undefined;
  readonly durationMs?: number | undefined;
  readonly count?: number | undefined;
  readonly bytes?: number | undefined;
  readonly port?: number | undefined;
  readonly version?: string | undefined;
  /** Which worker it is about, or whose line it is. */
  readonly worker?: number | undefined;
  /** Of a process. */
  readonly pid?: number | undefined;
}

export interface LogLine extends LogFields {
  /** ISO 8601, UTC. */
  readonly time: string;
  readonly level: LogLevel;
  readonly event: LogEvent;
  readonly ref?: string;
  /** How many lines like this one were not written since. */
  readonly repeated?: number;
}

export interface Logger {
  log(event: LogEvent, fields?: LogFields): void;
  /**
   * Logs what an error frame or answer tells its client, and returns the `ref` to tell. When lines like it (of the same
   * party, with the same event, code, op and path) are counted instead of written, the ref is that of the last one written,
   * which also the line that says how many bears: a ref always leads to a line about the same thing (WS-4).
   */
  refer(event: LogEvent, fields?: LogFields): string;
  /** Writes what was counted. Call before the process ends. */
  flush(): void;
}

export interface LoggerOptions {
  readonly env: Env;
  readonly write: (line: LogLine) => void;
  /** Lines below are not written. Default `info`. */
  readonly level?: LogLevel;
}

const LEVELS: readonly LogLevel[] = ['debug', 'info', 'warn', 'error'];
/** Lines of one kind in one window, before they are counted instead. */
const LINES_MAX = 20;
const WINDOW_MS = 10_000;
/** Kinds of lines that are told apart in one window; beyond it those of new parties are counted together. */
const KINDS_MAX = 10_000;

interface Kind {
  readonly event: LogEvent;
  readonly fields: LogFields;
  written: number;
  repeated: number;
  ref: string | undefined;
}

export function createLogger(options: LoggerOptions): Logger {
  const { env, write } = options;
  const lowest = LEVELS.indexOf(options.level ?? 'info');
  const kinds = new Map<string, Kind>();
  let isTimerSet = false;

  function emit(event: LogEvent, fields: LogFields, more: { ref?: string | undefined; repeated?: number }): void {
    const { level } = logEvents[event];
    const { ref, repeated } = more;
    const line: LogLine = {
      time: new Date(env.now()).toISOString(),
      level,
      event,
      ...(ref !== undefined && { ref }),
      ...redacted(fields),
      ...(repeated !== undefined && { repeated }),
    };
    try {
      write(line);
    } catch {
      // A log that cannot be written must not stop what it tells of.
    }
  }

  function flush(): void {
    for (const { event, fields, repeated, ref } of kinds.values()) {
      if (repeated > 0) emit(event, fields, { ref, repeated });
    }
    kinds.clear();
  }

  function kindOf(event: LogEvent, fields: LogFields): Kind {
    if (!isTimerSet) {
      isTimerSet = true;
      env.setTimer(WINDOW_MS, () => {
        isTimerSet = false;
        flush();
      });
    }
    const isFull = kinds.size >= KINDS_MAX;
    const alike = alikeness(fields);
    const party = partyOf(fields);
    const name = [event, ...Object.values(alike), ...(isFull ? [] : Object.values(party))].join(' ');
    let kind = kinds.get(name);
    if (kind === undefined) {
      kind = { event, fields: isFull ? alike : { ...party, ...alike }, written: 0, repeated: 0, ref: undefined };
      kinds.set(name, kind);
    }
    return kind;
  }

  function note(event: LogEvent, fields: LogFields, wantsRef: boolean): string {
    const kind = kindOf(event, fields);
    if (kind.written >= LINES_MAX && (!wantsRef || kind.ref !== undefined)) {
      kind.repeated++;
      return kind.ref ?? '';
    }
    kind.written++;
    const ref = wantsRef ? randomId(env) : undefined;
    if (ref !== undefined) kind.ref = ref;
    emit(event, fields, { ref });
    return ref ?? '';
  }

  return {
    log(event, fields = {}) {
      if (LEVELS.indexOf(logEvents[event].level) >= lowest) note(event, fields, false);
    },
    refer: (event, fields = {}) => note(event, fields, true),
    flush,
  };
}

/** Whoever floods hides his own lines only: a session, or an address where there is none. */
function partyOf({ session, remoteAddress }: LogFields): LogFields {
  return session === undefined ? { remoteAddress } : { session };
}

/** What lines that stand for each other have in common; all values are known in advance, save paths that do not exist. */
function alikeness({ code, op, path }: LogFields): LogFields {
  return { code, op, path: code === 'not_found' ? undefined : path };
}

/** JWTs, API keys, tickets (two long base64url parts), and what follows `Bearer`: none belongs in a text of ours. */
const SECRETS =
  /eyJ[\w-]*\.[\w-]+(?:\.[\w-]*)?|tw_key_[\w-]+|\bBearer\s+\S+|[\w-]{40,}\.[\w-]{40,}|([?&](?:ticket|token|access_token)=)[^&\s"]+/gi;

function redacted(fields: LogFields): LogFields {
  const clean: Record<string, string | number | readonly number[]> = {};
  for (const [name, value] of Object.entries(fields)) {
    if (typeof value === 'number' || Array.isArray(value)) clean[name] = value;
    else if (typeof value === 'string') clean[name] = value.slice(0, 4096).replaceAll(SECRETS, '$1[redacted]');
  }
  return clean;
}
