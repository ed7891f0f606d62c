/**
 * Hands records to the application: one at a time of a channel, in order, of several channels side by side. What fails is
 * tried again later while only its channel waits; what keeps failing goes to the dead letter channel, and the channel on.
 */
import { backoffMs } from './backoff.ts';
import type { ServiceEnv } from './env.ts';
import type { Attempt, ServiceRecord, Settings } from './options.ts';

/** A record that waits or is in hand. */
export interface Task {
  readonly record: ServiceRecord;
  readonly slot: number;
  readonly partition: number;
  /** About how many bytes it holds. */
  readonly bytes: number;
  /** It was handled, or is in the dead letter channel. */
  readonly onDone: () => void;
}

interface Lane {
  readonly tasks: Task[];
  readonly slot: number;
  /** Of the first task. */
  failures: number;
  state: 'ready' | 'running' | 'waiting';
  cancel: () => void;
  readonly end: AbortController;
}

/** What waits in memory; beyond it nothing more is read. */
const TASKS_MAX = 4_096;
const BYTES_MAX = 16 * 1024 * 1024;

export interface HandlingOptions {
  readonly env: ServiceEnv;
  readonly settings: Pick<Settings, 'handle' | 'concurrency' | 'retry'>;
  /** False while a task must not be begun: another member may have its slot. */
  readonly mayBegin: () => boolean;
  /** Puts a record that could not be handled where it is found. Rejects only when the signal is aborted. */
  readonly bury: (task: Task, error: unknown, signal: AbortSignal) => Promise<void>;
  /** A task of the slot has ended, well or not. */
  readonly onEnded: (slot: number) => void;
}

export class Handling {
  readonly #options: HandlingOptions;
  readonly #lanes = new Map<string, Lane>();
  #given: ReadonlySet<number> = new Set();
  #running = 0;
  #tasks = 0;
  #bytes = 0;
  #roomWaiters: (() => void)[] = [];

  constructor(options: HandlingOptions) {
    this.#options = options;
  }

  /** Records in memory that are not done. */
  get waiting(): number {
    return this.#tasks;
  }

  add(task: Task): void {
    const { channel } = task.record;
    let lane = this.#lanes.get(channel);
    if (lane === undefined) {
      lane = { tasks: [], slot: task.slot, failures: 0, state: 'ready', cancel: () => {}, end: new AbortController() };
      this.#lanes.set(channel, lane);
    }
    lane.tasks.push(task);
    this.#tasks++;
    this.#bytes += task.bytes;
    this.look();
  }

  /** Begins what may be begun now. */
  look(): void {
    const { settings, mayBegin } = this.#options;
    if (this.#running >= settings.concurrency || !mayBegin()) return;
    for (const lane of this.#lanes.values()) {
      if (lane.state !== 'ready' || this.#given.has(lane.slot)) continue;
      void this.#run(lane);
      if (this.#running >= settings.concurrency) return;
    }
  }

  /** Nothing more of these slots is begun, and of no others. */
  giveUp(slots: ReadonlySet<number>): void {
    this.#given = slots;
    this.look();
  }

  /** Nothing of the slot is in hand. */
  isIdle(slot: number): boolean {
    for (const lane of this.#lanes.values()) if (lane.slot === slot && lane.state === 'running') return false;
    return true;
  }

  /** The slot is somebody else's: what waits is let go of, what is in hand is told. */
  close(slot: number): void {
    for (const [channel, lane] of this.#lanes) if (lane.slot === slot) this.#drop(channel, lane);
  }

  /** What waits of a partition's channels is of a history that is over. */
  closeWhere(isOver: (task: Task) => boolean): void {
    for (const [channel, lane] of this.#lanes) if (isOver(lane.tasks[0] as Task)) this.#drop(channel, lane);
  }

  /** Resolves when there is room for more, or the signal is aborted. */
  room(signal: AbortSignal): Promise<void> {
    if (this.#hasRoom() || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const end = (): void => {
        signal.removeEventListener('abort', end);
        resolve();
      };
      this.#roomWaiters.push(end);
      signal.addEventListener('abort', end);
    });
  }

  #hasRoom(): boolean {
    return this.#tasks < TASKS_MAX && this.#bytes < BYTES_MAX;
  }

  #drop(channel: string, lane: Lane): void {
    this.#lanes.delete(channel);
    lane.cancel();
    lane.end.abort();
    for (const task of lane.tasks.splice(0)) this.#forget(task);
  }

  #forget(task: Task): void {
    this.#tasks--;
    this.#bytes -= task.bytes;
    if (!this.#hasRoom()) return;
    for (const resolve of this.#roomWaiters.splice(0)) resolve();
  }

  async #run(lane: Lane): Promise<void> {
    const { settings, env, bury, onEnded } = this.#options;
    const { retry } = settings;
    const { signal } = lane.end;
    const task = lane.tasks[0] as Task;
    lane.state = 'running';
    this.#running++;
    const failure = await attempt(settings.handle, task.record, { attempt: lane.failures + 1, signal });
    this.#running--;
    if (failure === undefined) lane.failures = 0;
    else if (++lane.failures >= retry.attempts) {
      // However long that takes, it is nobody's turn but this channel's that is lost.
      lane.state = 'waiting';
      this.look();
      await bury(task, failure.error, signal).then(
        () => (lane.failures = 0),
        () => {},
      );
    }
    if (!signal.aborted) {
      if (lane.failures === 0) this.#finish(lane, task);
      else {
        lane.state = 'waiting';
        lane.cancel = env.setTimer(backoffMs(env, retry, lane.failures), () => {
          lane.state = 'ready';
          this.look();
        });
      }
    }
    onEnded(task.slot);
    this.look();
  }

  #finish(lane: Lane, task: Task): void {
    lane.tasks.shift();
    lane.state = 'ready';
    // Behind those that have waited longer.
    this.#lanes.delete(task.record.channel);
    if (lane.tasks.length > 0) this.#lanes.set(task.record.channel, lane);
    this.#forget(task);
    task.onDone();
  }
}

/** What the application's function threw; a function may throw nothing at all, which is a failure, too. */
async function attempt(
  handle: Settings['handle'],
  record: ServiceRecord,
  how: Attempt,
): Promise<{ readonly error: unknown } | undefined> {
  try {
    await handle(record, how);
    return undefined;
  } catch (error) {
    return { error };
  }
}
