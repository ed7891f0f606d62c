/** SIGSTOP for the tests: when this returns, the process does nothing any more. */
import { readdirSync, readFileSync } from 'node:fs';

const WAIT_MS = 10_000;
const turn = new Int32Array(new SharedArrayBuffer(4));

/**
 * Stops a process, and waits until each of its threads stands: the signal is taken by one of them when it is its turn, and
 * on a busy machine the others serve requests until then. Does not wait where there is no /proc.
 */
export function pauseProcess(pid: number): void {
  process.kill(pid, 'SIGSTOP');
  for (let waitedMs = 0; !stands(pid); waitedMs++) {
    if (waitedMs > WAIT_MS) throw new Error(`process ${pid} goes on after SIGSTOP`);
    Atomics.wait(turn, 0, 0, 1);
  }
}

function stands(pid: number): boolean {
  let threads: readonly string[];
  try {
    threads = readdirSync(`/proc/${pid}/task`);
  } catch {
    return true;
  }
  return threads.every((thread) => {
    try {
      // proc_pid_stat(5): the state follows the name, which stands in parentheses and may hold any.
      const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8');
      return 'TtZX'.includes(stat.slice(stat.lastIndexOf(')') + 2)[0] ?? '');
    } catch {
      return true;
    }
  });
}
