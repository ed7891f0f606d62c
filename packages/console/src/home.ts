/** The proof page: a writer, the log, three readers, buttons that break things, and a bar that says what came of it. */
import { connect, type ChannelRecord } from '@tideway/client';
import { demoConfig, element, randomName, watchServer, type ServerStatus } from './page.ts';
import { Proof } from './proof.ts';
import { followByHttp, followBySdk, type ReaderState } from './readers.ts';

const READERS = ['WebSocket', 'SSE', 'plain HTTP'] as const;
type ReaderName = (typeof READERS)[number];
const BOT_MS = 50;
const SHOW_MS = 150;
/** The counters have met if they were equal within this time. */
const MET_MS = 1_000;
const CUT_MS = 4_000;
const SLOW_BYTES_PER_SECOND = 3_000;

const config = await demoConfig();
const channelName = `demo:tide-${randomName()}`;
const proof = new Proof(channelName, READERS);
// Each has a connection of its own, so that one can be slowed while the others are not.
const writer = connect({ url: config.server });
const reader = connect({ url: config.server, transport: 'websocket' });
const sse = connect({ url: config.server, transport: 'sse' });
const channel = writer.channel(channelName);
const states = new Map<ReaderName, ReaderState>(READERS.map((name) => [name, 'connecting']));
let stored = 0;
let waiting = 0;
const seen = new Map<ReaderName, number>(READERS.map((name) => [name, 0]));
/** The sums at the last moment at which everything written was stored and seen by all. */
let met: { readonly atMs: number; readonly sums: ReturnType<Proof['sums']> } | undefined;
let tamperNext = false;
let isSlow = false;
/** Set from a death until the counters have met again. */
let outage: { readonly startMs: number; peak: number; backMs?: number } | undefined;

element('check').textContent = `npx tideway verify ${channelName} --url ${config.server}`;

// Writing

function write(text: string): void {
  const data = { n: ++written, text };
  const receipt = channel.append(data);
  proof.written(receipt.rid, data);
  waiting++;
  receipt.then(
    ({ cursor, duplicate }) => {
      waiting--;
      stored++;
      proof.stored(receipt.rid, cursor, duplicate);
      lookIfMet();
      element('place').textContent = cursor;
      element('log').append(document.createElement('i'));
      while (element('log').childElementCount > 90) element('log').firstElementChild?.remove();
    },
    (error: { readonly code?: string; readonly message: string }) => {
      waiting--;
      proof.failed(receipt.rid, error.code ?? 'internal');
      say(`A record failed: ${error.message}`);
    },
  );
}
let written = 0;
window.setInterval(() => {
  if (element<HTMLInputElement>('bot').checked) write('tide');
}, BOT_MS);
element('form').addEventListener('submit', (event) => {
  event.preventDefault();
  const input = element<HTMLInputElement>('text');
  if (input.value.trim() === '') return;
  write(input.value.trim());
  input.value = '';
});

/** Writing never pauses, so the moments at which all counters are equal are looked for at each step. */
function lookIfMet(): void {
  if (waiting > 0 || stored !== written) return;
  for (const count of seen.values()) if (count !== stored) return;
  met = { atMs: performance.now(), sums: proof.sums() };
}

// Reading

function follow(name: ReaderName) {
  return {
    onRecord(record: ChannelRecord): void {
      if (name === 'SSE' && tamperNext) {
        tamperNext = false;
        say(`Tampered: the record at ${record.cursor} was taken away from the SSE reader.`);
        return;
      }
      proof.seen(name, record);
      seen.set(name, (seen.get(name) ?? 0) + 1);
      lookIfMet();
      const { text } = record.data as { readonly text: string };
      if (text !== 'tide' && name === 'WebSocket') element('typed').textContent = `“${text}” is at ${record.cursor}`;
    },
    onGap: (cursor: string, reason: string): void => proof.gap(name, cursor, reason),
    onState: (state: ReaderState): void => void states.set(name, state),
  };
}
void followBySdk(reader, channelName, follow('WebSocket'));
void followBySdk(sse, channelName, follow('SSE'));
void followByHttp(config.server, channelName, follow('plain HTTP'), new AbortController().signal);
reader.channel('$system:vitals').on({ onGap: 'continue' }, ({ data }) => {
  const { commitMs } = data as { readonly commitMs: number | null };
  if (commitMs !== null) element('sync').textContent = `${commitMs.toFixed(1)} ms, then answered`;
});

// Breaking

const kill = element<HTMLButtonElement>('kill');
kill.addEventListener(
  'click',
  () => void fetch('/demo/kill', { method: 'POST', headers: { 'X-Demo-Secret': config.secret } }),
);

function fault(instance: string, body: object): void {
  const url = `${config.server}/v1/faults?instance=${encodeURIComponent(instance)}`;
  fetch(url, { method: 'POST', body: JSON.stringify(body) }).catch(() => {});
}

element('cut').addEventListener('click', () => {
  say('Your network is cut: every connection of this page is torn, again and again, for four seconds.');
  const cutting = window.setInterval(() => {
    for (const { instance } of [writer, reader, sse]) fault(instance, { cut: true });
  }, 200);
  window.setTimeout(() => {
    window.clearInterval(cutting);
    say('Your network is back.');
  }, CUT_MS);
});

element('slow').addEventListener('click', () => {
  isSlow = !isSlow;
  element('slow').setAttribute('aria-pressed', String(isSlow));
  element('slow').textContent = isSlow ? 'Full speed' : 'Slow me';
  fault(reader.instance, isSlow ? { bytesPerSecond: SLOW_BYTES_PER_SECOND } : {});
  say(
    isSlow ? 'The WebSocket reader gets 3 kB a second; the others do not notice.' : 'Full speed again: it catches up.',
  );
});

element('tamper').addEventListener('click', () => {
  tamperNext = true;
});
element('again').addEventListener('click', () => location.reload());

// A connection that comes back while slowed is slowed too.
window.setInterval(() => {
  if (isSlow) fault(reader.instance, { bytesPerSecond: SLOW_BYTES_PER_SECOND });
}, 500);

watchServer((status: ServerStatus) => {
  kill.disabled = status.state !== 'up';
  kill.textContent = status.state === 'up' ? `Kill server (pid ${status.pid})` : 'Kill server';
  if (status.state === 'down') {
    outage ??= { startMs: performance.now(), peak: 0 };
    delete outage.backMs;
    say('The server is dead: kill -9. Writing goes on; what you write waits here.');
  } else if (status.state === 'up' && outage !== undefined) {
    outage.backMs = performance.now() - outage.startMs;
    say(`The server is back, pid ${status.pid}. Readers rejoin where they were.`);
  }
});

// Showing

function say(text: string): void {
  const item = document.createElement('li');
  const time = document.createElement('time');
  time.textContent = new Date().toLocaleTimeString();
  item.append(time, text);
  element('events').prepend(item);
  while (element('events').childElementCount > 50) element('events').lastElementChild?.remove();
}

const rows = READERS.map((name) => {
  const row = document.createElement('div');
  row.className = 'row';
  row.innerHTML = `<span>${name} <span class="chip"></span></span><span><span class="figure"></span> <span class="soft"></span></span>`;
  element('readers').append(row);
  return {
    chip: row.querySelector('.chip') as HTMLElement,
    count: row.querySelector('.figure') as HTMLElement,
    behind: row.querySelector('span:last-child > .soft') as HTMLElement,
  };
});

let lastState = '';
window.setInterval(() => {
  const sums = proof.sums();
  if (outage !== undefined) outage.peak = Math.max(outage.peak, waiting);
  element('waiting').textContent = waiting.toLocaleString();
  element('stored').textContent = stored.toLocaleString();
  READERS.forEach((name, index) => {
    const row = rows[index] as (typeof rows)[number];
    const state = states.get(name) as ReaderState;
    row.chip.textContent = state;
    row.chip.dataset['state'] = state;
    row.count.textContent = (sums.seen[index] as number).toLocaleString();
    row.behind.textContent = `${Math.max(0, sums.stored - (sums.seen[index] as number))} behind`;
  });
  showVerdict(sums);
}, SHOW_MS);

function showVerdict(now: ReturnType<Proof['sums']>): void {
  const { violation } = now;
  const isMet = met !== undefined && performance.now() - met.atMs < MET_MS;
  const sums = isMet && met !== undefined && violation === undefined ? met.sums : now;
  const oneOrder = sums.orders.every((order) => order === sums.orders[0]);
  const state = violation !== undefined ? 'bad' : isMet && oneOrder ? 'good' : 'wait';
  element('proof').dataset['state'] = state;
  element('sums').textContent =
    `written ${sums.written} · stored ${sums.stored} · seen ${sums.seen.join(' / ')} · gaps ${sums.gaps}` +
    ` · duplicates ${sums.duplicates} · order ${isMet ? sums.orders.join(' = ') : '…'}`;
  if (violation !== undefined) setVerdict(`Broken: ${violation.text}`);
  else if (outage !== undefined && outage.backMs === undefined)
    setVerdict(`The server is away; ${waiting} records wait here.`);
  else if (isMet && outage?.backMs !== undefined && met !== undefined && met.atMs > outage.startMs + outage.backMs) {
    const text = `Nothing lost: ${outage.peak} waiting records stored once, 0 gaps, 0 duplicates, back in ${(outage.backMs / 1_000).toFixed(1)} s.`;
    outage = undefined;
    setVerdict(text);
    say(text);
    lastState = 'good';
    return;
  } else if (state === 'wait') setVerdict('Catching up …');
  else if (lastState !== 'good') setVerdict('Written = stored = seen, 0 gaps, 0 duplicates, one order for all.');
  lastState = outage === undefined ? state : 'outage';
}

function setVerdict(text: string): void {
  if (element('verdict').textContent !== text) element('verdict').textContent = text;
}

say('Records flow. Press Kill server.');
