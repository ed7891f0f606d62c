/** Readers in processes of their own, so that one busy process is not what they wait for. */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { interruptionsOf, type Interruptions } from './silence.ts';

const EACH = 100;

export type ReaderKind = 'websocket' | 'sse' | 'EventSource';
/** Of four readers. */
const KINDS: readonly ReaderKind[] = ['websocket', 'sse', 'websocket', 'EventSource'];

export interface CrowdTask {
  readonly url: string;
  readonly channel: string;
  readonly kinds: readonly ReaderKind[];
}

export type CrowdOrder = { readonly say: 'begin' } | { readonly say: 'end'; readonly head: string };

export type CrowdReport = readonly {
  readonly kind: ReaderKind;
  readonly calmMs: number;
  readonly lateMs: number;
  readonly failure?: string | undefined;
}[];

export interface CrowdVerdict {
  /** `calm`: all of them, before the fault, for what the machine itself takes. */
  readonly interruptions: Readonly<Record<ReaderKind | 'all' | 'calm', Interruptions>>;
  readonly failures: readonly string[];
}

export class Crowd {
  readonly #processes: readonly ChildProcess[];

  private constructor(processes: readonly ChildProcess[]) {
    this.#processes = processes;
  }

  /** Resolves when every reader was given a record. */
  static async start(task: { readonly url: string; readonly channel: string }, readers: number): Promise<Crowd> {
    const processes: ChildProcess[] = [];
    for (let first = 0; first < readers; first += EACH) {
      const count = Math.min(EACH, readers - first);
      const kinds = Array.from({ length: count }, (_, n) => KINDS[(first + n) % KINDS.length] as ReaderKind);
      const all: CrowdTask = { ...task, kinds };
      const execArgv = ['--conditions=tideway-source'];
      processes.push(fork(`${import.meta.dirname}/crowd-process.ts`, [JSON.stringify(all)], { execArgv }));
    }
    const crowd = new Crowd(processes);
    await crowd.#hear();
    return crowd;
  }

  begin(): void {
    this.#order({ say: 'begin' });
  }

  /** Waits until all have this record, and ends. */
  async end(head: string): Promise<CrowdVerdict> {
    const reports = this.#hear();
    this.#order({ say: 'end', head });
    // Each says two things: that it is ready, and this.
    const readers = ((await reports) as CrowdReport[]).flat();
    const of = (kind?: ReaderKind): Interruptions =>
      interruptionsOf(readers.filter((one) => kind === undefined || one.kind === kind).map(({ lateMs }) => lateMs));
    return {
      interruptions: {
        calm: interruptionsOf(readers.map(({ calmMs }) => calmMs)),
        all: of(),
        websocket: of('websocket'),
        sse: of('sse'),
        EventSource: of('EventSource'),
      },
      failures: readers.flatMap(({ failure }) => failure ?? []),
    };
  }

  /** Those that still run. */
  stop(): void {
    for (const one of this.#processes) one.kill('SIGKILL');
  }

  /** What each says next. */
  async #hear(): Promise<unknown[]> {
    const silent = new AbortController();
    const ended = this.#processes.map(async (one): Promise<never> => {
      const [code] = (await once(one, 'exit', { signal: silent.signal })) as [number | null];
      throw new Error(`a process of readers ended with ${code}`);
    });
    const said = Promise.all(this.#processes.map(async (one) => ((await once(one, 'message')) as [unknown])[0]));
    try {
      return await Promise.race([said, ...ended]);
    } finally {
      silent.abort();
      await Promise.allSettled(ended);
    }
  }

  #order(order: CrowdOrder): void {
    for (const one of this.#processes) one.send(order);
  }
}
