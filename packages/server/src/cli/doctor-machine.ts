/** What `doctor` looks at on this machine: limits of the system, clock, Node, certificate. */
import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { loadTls, type TlsFiles } from '../auth/tls.ts';
import { bad, good, note, warning, type Finding } from './finding.ts';

const NODE_MAJOR_MIN = 24;
/** Below this a busy server meets the limit before it meets any of its own. */
const OPEN_FILES_GOOD = 10_000;
/** What the server asks for; the kernel gives at most somaxconn. */
const BACKLOG_GOOD = 4_096;
const PORTS_GOOD = 20_000;
const CLOCK_LOOK_MS = 200;
const CLOCK_OFF_MS = 50;
const DAY_MS = 86_400_000;

export async function* examineMachine(tls: TlsFiles | undefined): AsyncIterable<Finding> {
  yield nodeVersion(process.versions.node);
  yield openFiles();
  if (process.platform === 'linux') {
    yield backlog(await systemFile('/proc/sys/net/core/somaxconn'));
    yield portRange(await systemFile('/proc/sys/net/ipv4/ip_local_port_range'));
  }
  yield await clock();
  if (tls !== undefined) yield await certificate(tls);
}

export function nodeVersion(version: string): Finding {
  const major = Number(version.split('.')[0]);
  return major >= NODE_MAJOR_MIN
    ? good('node', `Node ${version}`)
    : bad('node', `Node ${version} is too old`, `${NODE_MAJOR_MIN} or newer is needed`);
}

function openFiles(): Finding {
  const report = process.report.getReport() as {
    readonly userLimits?: { readonly open_files?: { readonly soft: number | string } };
  };
  return openFilesLimit(report.userLimits?.open_files?.soft);
}

export function openFilesLimit(soft: number | string | undefined): Finding {
  if (soft === undefined) return note('open-files', 'this system does not say how many files may be open');
  if (soft === 'unlimited' || Number(soft) >= OPEN_FILES_GOOD) return good('open-files', `${soft} files may be open`);
  return warning(
    'open-files',
    `only ${soft} files may be open, and each connection is one`,
    'ulimit -n 65536, or LimitNOFILE= of the service',
  );
}

export function backlog(text: string | undefined): Finding {
  if (text === undefined) return note('backlog', 'the length of the queue of new connections is not known');
  const length = Number(text);
  return length >= BACKLOG_GOOD
    ? good('backlog', `${length} connections may wait to be accepted`)
    : warning(
        'backlog',
        `only ${length} connections may wait to be accepted, fewer than a storm of reconnects brings`,
        `sysctl net.core.somaxconn=${BACKLOG_GOOD}`,
      );
}

export function portRange(text: string | undefined): Finding {
  const [low, high] = (text ?? '').split(/\s+/).map(Number);
  if (!low || !high) return note('ports', 'the range of ports for outgoing connections is not known');
  const count = high - low + 1;
  return count >= PORTS_GOOD
    ? good('ports', `${count.toLocaleString('en-US')} ports for outgoing connections`)
    : warning(
        'ports',
        `only ${count.toLocaleString('en-US')} ports for outgoing connections; a proxy on this machine needs one for each client`,
        'sysctl net.ipv4.ip_local_port_range="1024 65000"',
      );
}

/** Both clocks over a moment: a wall clock that is being corrected runs differently. */
async function clock(): Promise<Finding> {
  const [wall, monotonic] = [Date.now(), performance.now()];
  await delay(CLOCK_LOOK_MS);
  return clockDrift(Date.now() - wall - (performance.now() - monotonic), Date.now());
}

export function clockDrift(offMs: number, nowMs: number): Finding {
  if (nowMs < Date.UTC(2026, 0, 1)) {
    return bad('clock', `the clock says ${new Date(nowMs).toISOString()}`, 'set it; tokens are judged by it');
  }
  return Math.abs(offMs) <= CLOCK_OFF_MS
    ? good('clock', 'the clock runs evenly')
    : warning(
        'clock',
        `the clock moved by ${Math.round(offMs)} ms within ${CLOCK_LOOK_MS} ms`,
        'let NTP slew it, not step it',
      );
}

async function certificate(tls: TlsFiles): Promise<Finding> {
  try {
    const { validTo, subjectAltName } = new X509Certificate((await loadTls(tls)).cert);
    const days = Math.floor((Date.parse(validTo) - Date.now()) / DAY_MS);
    if (days < 0) return bad('tls', `the certificate ended on ${validTo}`, 'renew it');
    if (days < 14)
      return warning(
        'tls',
        `the certificate ends in ${days} days`,
        'renew it; the server takes a new file without a restart',
      );
    return good('tls', `the certificate is good for ${days} days (${subjectAltName ?? 'no names'})`);
  } catch (error) {
    return bad('tls', (error as Error).message, 'see tls.cert and tls.key');
  }
}

async function systemFile(path: string): Promise<string | undefined> {
  return readFile(path, 'utf8').then(
    (text) => text.trim(),
    () => undefined,
  );
}
