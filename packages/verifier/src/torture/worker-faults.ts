/** What is done to the processes of a server that has workers: one is killed or paused, or the one with the log is. */
import type { ServerProcess } from '../raw/server-process.ts';
import type { FaultCounts } from './faults.ts';
import type { Random } from './random.ts';
import { rest } from './stage.ts';

/** Longer than the silence after which workers take the one with the log for lost. */
const PAUSE_MS_MAX = 7_000;

/** Knows the processes of the workers that run, from what the server's log says. */
export class WorkerPids {
  readonly #pids = new Map<number, number>();

  /** A line of the server's log. */
  hear(line: string): void {
    if (!/"event":"(?:worker|server)\./.test(line)) return;
    const { event, worker, pid } = JSON.parse(line) as { event: string; worker?: number; pid?: number };
    if (worker === undefined) {
      // Another server: its workers are to come.
      if (event === 'server.started') this.#pids.clear();
      return;
    }
    if (event === 'worker.started' && pid !== undefined) this.#pids.set(worker, pid);
    if (event === 'worker.ended') this.#pids.delete(worker);
  }

  get all(): readonly number[] {
    return [...this.#pids.values()];
  }
}

export async function troubleWorkers(
  { random, signal, counts }: { readonly random: Random; readonly signal: AbortSignal; readonly counts: FaultCounts },
  server: ServerProcess,
  workers: WorkerPids,
): Promise<void> {
  while (!signal.aborted) {
    await rest(random.between(200, 1_500), signal);
    const [first, ...others] = workers.all;
    if (signal.aborted || first === undefined) continue;
    const worker = random.pick([first, ...others]);
    if (random.percent(60)) {
      if (!send(worker, 'SIGKILL')) continue;
      counts.workerKills++;
      continue;
    }
    const paused = random.percent(50) ? worker : server.pid;
    if (paused === undefined || !send(paused, 'SIGSTOP')) continue;
    counts.workerPauses++;
    await rest(random.between(100, random.percent(25) ? PAUSE_MS_MAX : 1_500), signal);
    send(paused, 'SIGCONT');
  }
}

/** False where the process is gone. */
function send(pid: number, name: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, name);
  } catch {
    return false;
  }
}
