/** The proof page: a writer, the log, three readers, buttons that break things, and a bar that says what came of it. */
import { connect, type ChannelRecord } from '@tideway/client';
import { ReaderRows, say, showStored, showVerdict } from './board.ts';
import { Cable } from './cable.ts';
import { Gauge } from './gauge.ts';
import { Guide } from './guide.ts';
import { Meetings } from './meetings.ts';
import { NodeCards } from './node-cards.ts';
import './home.css';
import './node-cards.css';
import { command, demoConfig, element, putFault, randomName, watchServer, write } from './page.ts';
import { Proof } from './proof.ts';
import { followByHttp, followBySdk, READERS, type ReaderName, type ReaderState } from './readers.ts';
import { MET_MS, Story } from './story.ts';
import { Writer, type Line } from './writer.ts';

const SHOW_MS = 150;
const WATCH_MS = 8_000;
const CUT_MS = 4_000;
const SLOW_BYTES_PER_SECOND = 600;
/** Long enough to see it fall behind, too short for two pings to be late. */
const SLOW_MAX_MS = 20_000;

const config = await demoConfig();
// Laid before the first connection is made.
const cable = new Cable(config.server);
const channelName = `demo:tide-${randomName()}`;
const proof = new Proof(channelName, READERS);
// Each has a connection of its own, so that one can be slowed while the others are not.
const writing = connect({ url: config.server });
const websocket = connect({ url: config.server, transport: 'websocket' });
const sse = connect({ url: config.server, transport: 'sse' });
const httpInstance = randomName();
const states = new Map<ReaderName, ReaderState>(READERS.map((name) => [name, 'connecting']));
const isCluster = config.nodes > 1 || config.broker !== undefined;
const cards = isCluster ? layCards() : undefined;
const [story, guide, gauge, rows] = [
  new Story(say),
  new Guide({ broker: config.broker?.name, isMany: config.nodes > 1 }),
  new Gauge(),
  new ReaderRows(),
];
const meetings = new Meetings();
let mustTamper = false;

write('check', `${config.commandLine} verify ${channelName} --url ${config.server}`);

// Writing

const writer = new Writer(writing.channel(channelName), {
  onWritten(rid, line) {
    proof.written(rid, line);
    look();
  },
  onStored(rid, line, { cursor, duplicate }) {
    proof.stored(rid, cursor, duplicate);
    showStored(line, cursor);
    look();
  },
  onFailed(rid, { code, message }) {
    proof.failed(rid, code);
    say(`A record was not taken: ${message}`, 'bad');
  },
});
writer.startBot(() => element<HTMLInputElement>('bot').checked);
element('form').addEventListener('submit', (event) => {
  event.preventDefault();
  const input = element<HTMLInputElement>('text');
  const text = input.value.trim();
  if (text === '') return;
  writer.write(text, true);
  write('typed', `“${text}” waits here`);
  input.value = '';
});

function look(): void {
  meetings.look(performance.now(), proof.sums());
}

// Reading

function readerOf(name: ReaderName) {
  return {
    onRecord(record: ChannelRecord): void {
      if (name === 'SSE' && mustTamper) {
        mustTamper = false;
        say(`Tampered: the record at ${record.cursor} was hidden from the SSE reader.`);
        return;
      }
      proof.seen(name, record);
      look();
      const { text, yours } = record.data as Line;
      if (yours === true) say(`The ${name} reader sees “${text}”.`);
    },
    onGap(cursor: string, reason: string): void {
      proof.gap(name, cursor, reason);
      say(`The ${name} reader is told of a gap (${reason}) up to ${cursor}.`);
    },
    onState(state: ReaderState): void {
      const before = states.get(name);
      states.set(name, state);
      if (name === 'WebSocket' && before !== state && isSlow()) slowDown();
    },
  };
}
void followBySdk(websocket, channelName, readerOf('WebSocket'));
void followBySdk(sse, channelName, readerOf('SSE'));
void followByHttp({ server: config.server, instance: httpInstance }, channelName, readerOf('plain HTTP'));
writing.channel('$system:vitals').on({ onGap: 'continue' }, ({ data }) => {
  const { commitMs, rssBytes } = data as { readonly commitMs: number | null; readonly rssBytes: number };
  if (commitMs !== null) write('sync', `${commitMs.toFixed(1)} ms`);
  write('memory', `${(rssBytes / 1e6).toFixed(0)} MB`);
});

// Breaking

function ask(path: string): void {
  command(config, path).catch((error: Error) => say(`The demo could not do that: ${error.message}`, 'bad'));
}

/** Where there are several nodes, or a broker, each has its own buttons. */
function layCards(): NodeCards {
  const guests = new Map<string, string>([
    [writing.instance, 'writer'],
    [websocket.instance, 'WebSocket'],
    [sse.instance, 'SSE'],
    [httpInstance, 'plain HTTP'],
  ]);
  element('kill').hidden = true;
  write('title', `Kill ${config.nodes > 1 ? 'a node' : 'the server'}. Stop the broker. Nothing is lost.`);
  write('key-away', 'no node, no broker or no network');
  if (config.broker !== undefined) write('log-title', `The log, on ${config.broker.name}`);
  return new NodeCards(config, guests, ask);
}

const kill = element<HTMLButtonElement>('kill');
kill.addEventListener('click', () => {
  kill.disabled = true;
  ask('nodes/1/kill');
});

const cut = element<HTMLButtonElement>('cut');
cut.addEventListener('click', () => {
  cut.disabled = true;
  cable.pull();
  story.onCable(true, performance.now());
  window.setTimeout(() => {
    cable.plugIn();
    cut.disabled = false;
    story.onCable(false, performance.now());
  }, CUT_MS);
});

const slow = element<HTMLButtonElement>('slow');
let slowTimer = 0;
function isSlow(): boolean {
  return slowTimer !== 0;
}
/** A fault is put into the way of one connection: after a reconnect it is put there again. */
function slowDown(): void {
  putFault(config, websocket.instance, { bytesPerSecond: SLOW_BYTES_PER_SECOND });
}
function letGo(): void {
  window.clearTimeout(slowTimer);
  slowTimer = 0;
  putFault(config, websocket.instance, {});
  showSlow();
  say('Full speed again: the WebSocket reader catches up.');
  guide.reach('tamper');
}
function showSlow(): void {
  slow.setAttribute('aria-pressed', String(isSlow()));
  write(slow, isSlow() ? 'Let me go' : 'Slow me');
}
slow.addEventListener('click', () => {
  if (isSlow()) return letGo();
  slowTimer = window.setTimeout(letGo, SLOW_MAX_MS);
  slowDown();
  showSlow();
  say(`The WebSocket reader gets ${SLOW_BYTES_PER_SECOND} bytes a second; the others do not notice.`);
  guide.reach('under');
});

element('tamper').addEventListener('click', () => (mustTamper = true));
element('again').addEventListener('click', () => location.reload());

let wasBrokerAway = false;
watchServer((status) => {
  const { nodes, broker } = status;
  const [first] = nodes;
  const isUp = first?.state === 'up';
  kill.disabled = !isUp;
  kill.textContent = isUp ? `Kill server (pid ${first.pid})` : 'Kill server';
  cards?.show(status);
  story.onStatus(status, performance.now());
  if (nodes.some(({ state }) => state === 'down' || state === 'paused')) guide.reach('dead');
  if (broker !== undefined && broker.state !== 'up') {
    wasBrokerAway = true;
    guide.reach('under');
  }
});

// Showing

window.setTimeout(() => guide.reach('kill'), WATCH_MS);
let wasOutage = false;
window.setInterval(() => {
  const nowMs = performance.now();
  const now = proof.sums();
  const { waiting } = writer;
  // Also where nobody writes any more.
  meetings.look(nowMs, now);
  const isUp = !story.isAway;
  const met = meetings.last;
  const isMet = met !== undefined && nowMs - met.writtenMs < MET_MS && now.violation === undefined && isUp;
  const sums = isMet ? met.sums : now;
  const verdict = story.judge({ nowMs, waiting, sums, metMs: met?.writtenMs });
  showVerdict(verdict, sums);
  if (verdict.tone === 'bad') guide.reach('end');
  if (wasOutage && !story.isOutage)
    guide.reach(wasBrokerAway || config.broker?.refusal !== undefined ? 'tamper' : 'second');
  wasOutage = story.isOutage;

  write('waiting', waiting.toLocaleString());
  write('stored', writer.stored.toLocaleString());
  write('on-disk', writer.stored.toLocaleString());
  const behind = now.seen.map((count) => Math.max(0, now.stored - count));
  READERS.forEach((name, index) => {
    rows.show(index, {
      state: states.get(name) ?? 'connecting',
      where: cards?.whereIs([websocket.instance, sse.instance, httpInstance][index] ?? ''),
      seen: now.seen[index] ?? 0,
      behind: behind[index] ?? 0,
      order: now.orders[index] ?? '–',
    });
  });
  gauge.add({ atMs: nowMs, waiting, behind, isUp });
}, SHOW_MS);

say('Records flow.');
