/** The server's own figures, drawn as they come. */
import { connect } from '@tideway/client';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { demoConfig, element, watchServer } from './page.ts';

type Vitals = Readonly<Record<string, number | string | null>>;

const KEPT = 180;
const STALE_MS = 4_000;
const TILES = [
  ['sessions', 'sessions'],
  ['subscriptions', 'subscriptions'],
  ['channels', 'channels followed'],
  ['appendsPerS', 'appends a second'],
  ['deliveriesPerS', 'deliveries a second'],
  ['commitMs', 'ms until durable'],
  ['rssBytes', 'memory'],
  ['uptimeS', 'seconds up'],
] as const;
const CHARTS = [
  ['Records a second', ['appendsPerS', 'deliveriesPerS'], ['appended', 'delivered']],
  ['CPU of one core, %', ['cpu'], ['cpu']],
  ['Memory, MB', ['rssBytes'], ['resident']],
  ['Event loop lag p99, ms', ['eventLoopLagMs'], ['lag']],
] as const;

const config = await demoConfig();
watchServer();
const client = connect({ url: config.server });
const times: number[] = [];
const series = new Map<string, (number | null)[]>();
let lastMs = 0;

const tiles = TILES.map(([key, label]) => {
  const card = document.createElement('section');
  card.className = 'card';
  card.innerHTML = `<h2>${label}</h2><div class="figure">–</div>`;
  element('figures').append(card);
  return { key, figure: card.querySelector('.figure') as HTMLElement };
});

const ink = getComputedStyle(document.body).color;
const colours = [getComputedStyle(document.documentElement).getPropertyValue('--tide').trim(), '#c2761b'];
const charts = CHARTS.map(([title, keys, labels]) => {
  const card = document.createElement('section');
  card.className = 'card';
  card.setAttribute('aria-label', title);
  element('charts').append(card);
  const axis = { stroke: ink, grid: { stroke: 'rgba(128,128,128,0.2)' } };
  const chart = new uPlot(
    {
      title,
      width: Math.max(240, card.clientWidth - 32),
      height: 190,
      axes: [axis, { ...axis, size: 56 }],
      scales: { y: { range: (_, low, high) => [Math.min(0, low), Math.max(1, high * 1.1)] } },
      series: [
        {},
        ...keys.map((_, index) => ({ label: labels[index] as string, stroke: colours[index] as string, width: 2 })),
      ],
    },
    [[], ...keys.map(() => [])],
    card,
  );
  new ResizeObserver(() => chart.setSize({ width: Math.max(240, card.clientWidth - 32), height: 190 })).observe(card);
  return { chart, keys };
});

function scaled(key: string, value: number): number {
  return key === 'rssBytes' ? value / 1e6 : value;
}

function show(vitals: Vitals, atMs: number): void {
  times.push(atMs / 1_000);
  if (times.length > KEPT) times.shift();
  for (const { keys } of charts) {
    for (const key of keys) {
      const values = series.get(key) ?? [];
      const value = vitals[key];
      values.push(typeof value === 'number' ? scaled(key, value) : null);
      if (values.length > KEPT) values.shift();
      series.set(key, values);
    }
  }
  for (const { key, figure } of tiles) {
    const value = vitals[key];
    figure.textContent =
      typeof value !== 'number' ? '–' : key === 'rssBytes' ? `${(value / 1e6).toFixed(0)} MB` : value.toLocaleString();
  }
  for (const { chart, keys } of charts)
    chart.setData([times, ...keys.map((key) => series.get(key) as (number | null)[])]);
}

function showState(): void {
  const isStale = lastMs > 0 && performance.now() - lastMs > STALE_MS;
  const words = isStale && client.state === 'live' ? 'stale' : client.state;
  element('state').textContent = words;
  element('state').dataset['state'] = words;
}
client.onState(showState);
window.setInterval(showState, 1_000);

for await (const record of client.channel('$system:vitals').read({ from: 'last:120', onGap: 'continue' })) {
  lastMs = performance.now();
  show(record.data as Vitals, record.time ?? Date.now());
}
