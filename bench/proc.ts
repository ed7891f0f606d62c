/**
 * What Linux says of processes and of the machine (/proc): CPU, resident memory, how busy all cores were. The same
 * reading for every contender, from outside, all threads included.
 */
import { readdirSync, readFileSync } from 'node:fs';

/** Ticks of /proc/<pid>/stat and /proc/stat; USER_HZ is 100 on every Linux that Node runs on. */
const TICK_MS = 10;

export interface ProcessCpu {
  readonly totalMs: number;
  readonly userMs: number;
}

/**
 * CPU of a process so far. The total is the scheduler's own, in nanoseconds, over its living threads; the user part is
 * in ticks of 10 ms.
 */
export function processCpu(pid: number): ProcessCpu {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  // The second field is the program's name in brackets and may hold blanks: count from behind it.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const userMs = Number(fields[11]) * TICK_MS;
  const inTicksMs = userMs + Number(fields[12]) * TICK_MS;
  let exactMs = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`)) exactMs += threadCpuMs(pid, thread);
  return { totalMs: exactMs > 0 ? exactMs : inTicksMs, userMs };
}

function threadCpuMs(pid: number, thread: string): number {
  try {
    return Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'latin1').split(' ')[0]) / 1e6;
  } catch {
    // A thread that has ended meanwhile, or a kernel without schedstat: ticks are used where all fail.
    return 0;
  }
}

/** The one process that a process has started. */
export function onlyChildOf(pid: number): number {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').trim().split(' ');
  if (children.length !== 1 || children[0] === '') throw new Error(`process ${pid} has ${children.length} children`);
  return Number(children[0]);
}

/** Resident memory of a process. */
export function processRssBytes(pid: number): number {
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1];
  if (kib === undefined) throw new Error(`process ${pid} has no VmRSS: has it ended?`);
  return Number(kib) * 1024;
}

export interface MachineCpu {
  readonly busyMs: number;
  readonly totalMs: number;
}

/** All cores together, since boot. */
export function machineCpu(): MachineCpu {
  const line = readFileSync('/proc/stat', 'latin1').split('\n', 1)[0] ?? '';
  // user nice system idle iowait irq softirq steal; guest is in user already.
  const ticks = line.trim().split(/\s+/).slice(1, 9).map(Number);
  const totalMs = ticks.reduce((sum, part) => sum + part, 0) * TICK_MS;
  const idleMs = ((ticks[3] ?? 0) + (ticks[4] ?? 0)) * TICK_MS;
  return { busyMs: totalMs - idleMs, totalMs };
}

/** Jobs that ran or waited, averaged over the last minute. */
export function loadAverage(): number {
  return Number(readFileSync('/proc/loadavg', 'latin1').split(' ')[0]);
}
