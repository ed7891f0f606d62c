/** The server's own figures, drawn as they come. */
import { connect } from '@tideway/client';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { demoConfig, element, showState, watchServer, write } from './page.ts';
import './vitals.css';

type Vitals = Readonly<Record<string, unknown>>;

const KEPT = 180;
/** So long after the last figures they are no longer the server's present. */
const STALE_MS = 3_500;
const PLOT_HEIGHT = 176;

const count = (value: number): string => Math.round(value).toLocaleString();
const tenth = (value: number): string => value.toLocaleString(undefined, { maximumFractionDigits: 1 });
const kilobytes = (value: number): string => `${tenth(value / 1e3)} kB`;
const duration = (value: number): string => {
  const [hours, minutes, seconds] = [value / 3_600, (value / 60) % 60, value % 60].map(Math.floor) as [
    number,
    number,
    number,
  ];
  return hours > 0 ? `${hours} h ${minutes} min` : minutes > 0 ? `${minutes} min` : `${seconds} s`;
};

const TILES: readonly (readonly [key: string, label: string, format: (value: number) => string])[] = [
  ['uptimeS', 'up for', duration],
  ['sessions', 'sessions', count],
  ['subscriptions', 'subscriptions', count],
  ['channels', 'channels followed', count],
  ['commitMs', 'until durable', (value) => `${tenth(value)} ms`],
  ['bytesSentPerS', 'sent a second', kilobytes],
  ['outboxBytes', 'in outboxes', kilobytes],
  ['ringBytes', 'in rings', kilobytes],
];

interface Line {
  readonly key: string;
  readonly label: string;
  readonly colour: string;
  readonly scale?: number;
}
const CHARTS: readonly { readonly title: string; readonly unit: string; readonly lines: readonly Line[] }[] = [
  {
    title: 'Records a second',
    unit: '',
    lines: [
      { key: 'appendsPerS', label: 'appended', colour: '--waiting' },
      { key: 'deliveriesPerS', label: 'delivered', colour: '--tide' },
    ],
  },
  { title: 'Processor', unit: '%', lines: [{ key: 'cpu', label: 'of one core', colour: '--tide' }] },
  { title: 'Memory', unit: 'MB', lines: [{ key: 'rssBytes', label: 'resident', colour: '--tide', scale: 1e-6 }] },
  {
    title: 'Time',
    unit: 'ms',
    lines: [
      { key: 'commitMs', label: 'until durable, mean', colour: '--waiting' },
      { key: 'eventLoopLagMs', label: 'event loop lag, p99', colour: '--tide' },
    ],
  },
];

const config = await demoConfig();
watchServer();
if (config.nodes > 1) write('whose', 'The figures of the node that this page is connected to');
const client = connect({ url: config.server });

const tiles = TILES.map(([key, label, format]) => {
  const [tile, name, figure] = [
    document.createElement('div'),
    document.createElement('dt'),
    document.createElement('dd'),
  ];
  name.textContent = label;
  figure.className = 'figure';
  figure.textContent = '–';
  tile.append(name, figure);
  element('tiles').append(tile);
  return { key, format, figure };
});

/** A colour of the style sheet as it is now: it changes between day and night. */
const colourOf = (name: string): string => getComputedStyle(document.body).getPropertyValue(name).trim();

class Chart {
  readonly #lines: readonly Line[];
  readonly #unit: string;
  readonly #plot: uPlot;
  readonly #keys: readonly HTMLElement[];
  readonly #values: (number | null)[][];

  constructor({ title, unit, lines }: (typeof CHARTS)[number]) {
    this.#lines = lines;
    this.#unit = unit;
    this.#values = lines.map(() => []);
    const card = document.createElement('section');
    card.className = 'card';
    card.innerHTML =
      `<div class="row wrap"><h2>${title}</h2><p class="keys">` +
      lines.map(({ label, colour }) => `<i style="background:var(${colour})"></i>${label} <span>–</span>`).join('') +
      '</p></div><div class="plot" aria-hidden="true"></div>';
    element('charts').append(card);
    this.#keys = [...card.querySelectorAll<HTMLElement>('.keys span')];
    const host = card.querySelector('.plot') as HTMLElement;
    const axis = {
      stroke: () => colourOf('--soft'),
      grid: { stroke: () => colourOf('--line'), width: 1 },
      ticks: { show: false },
    };
    this.#plot = new uPlot(
      {
        width: host.clientWidth,
        height: PLOT_HEIGHT,
        legend: { show: false },
        cursor: { show: false },
        padding: [8, 8, 0, 0],
        axes: [
          {
            ...axis,
            values: (_, splits) => splits.map((at) => new Date(at * 1_000).toLocaleTimeString()),
            space: 110,
            size: 26,
          },
          { ...axis, size: 48 },
        ],
        scales: { y: { range: (_, _low, high) => [0, Math.max(1, (high ?? 0) * 1.15)] } },
        series: [
          {},
          ...lines.map(({ colour }) => ({ stroke: () => colourOf(colour), width: 2, points: { show: false } })),
        ],
      },
      [[], ...lines.map(() => [])],
      host,
    );
    new ResizeObserver(() => this.#plot.setSize({ width: host.clientWidth, height: PLOT_HEIGHT })).observe(host);
  }

  /** Another second; without figures the line is interrupted. */
  add(times: readonly number[], vitals: Vitals | undefined): void {
    this.#lines.forEach(({ key, scale = 1 }, index) => {
      const values = this.#values[index] as (number | null)[];
      const value = vitals?.[key];
      values.push(typeof value === 'number' ? value * scale : null);
      while (values.length > times.length) values.shift();
      if (typeof value === 'number') write(this.#keys[index] as HTMLElement, `${tenth(value * scale)} ${this.#unit}`);
    });
    this.#plot.setData([[...times], ...this.#values]);
  }

  redraw(): void {
    this.#plot.redraw();
  }
}
const charts = CHARTS.map((chart) => new Chart(chart));
window.matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
  for (const chart of charts) chart.redraw();
});

const times: number[] = [];
function add(atMs: number, vitals: Vitals | undefined): void {
  times.push(atMs / 1_000);
  if (times.length > KEPT) times.shift();
  for (const chart of charts) chart.add(times, vitals);
}

let lastMs: number | undefined;
function showAge(): void {
  const ageMs = lastMs === undefined ? 0 : performance.now() - lastMs;
  const isStale = ageMs > STALE_MS;
  document.body.classList.toggle('is-stale', isStale);
  showState(isStale && client.state === 'live' ? 'stale' : client.state);
  if (lastMs !== undefined) write('age', isStale ? `last figures ${Math.round(ageMs / 1_000)} s ago` : '');
}
client.onState(showAge);
window.setInterval(showAge, 500);

let beforeMs: number | undefined;
for await (const { data, time } of client.channel('$system:vitals').read({ from: 'last:120', onGap: 'continue' })) {
  const vitals = data as Vitals;
  const atMs = time ?? Date.now();
  if (beforeMs !== undefined && atMs - beforeMs > STALE_MS) add(atMs - 1, undefined);
  beforeMs = atMs;
  add(atMs, vitals);
  for (const { key, format, figure } of tiles) {
    const value = vitals[key];
    if (typeof value === 'number') write(figure, format(value));
  }
  lastMs = performance.now();
  showAge();
}
