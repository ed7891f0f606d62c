/** Live prices over SSE: recorded market data, appended by a process of its own. */
import { connect } from '@tideway/client';
import { coursePoints } from './course.ts';
import { demoConfig, element, showState, watchServer, write } from './page.ts';
import './ticker.css';

/** What the demo's producer appends. */
interface Tick {
  readonly symbol: string;
  readonly price: number;
  readonly date: string;
  readonly source: 'recorded' | 'simulated';
}

const CHART = { width: 600, height: 160 };
const COURSE = { width: 120, height: 26 };
/** Prices of the index on the chart, about half a year of trading days; of a share, four years of months. */
const INDEX_KEPT = 126;
const SHARE_KEPT = 48;
const FROM = 'last:1000';
const ABOUT = {
  recorded:
    'Recorded: daily closes of the S&P 500 and monthly closes of five shares since 2000 (GOOG since August 2004, when it was first sold), from the data set vega-datasets. Simulated: the time. A trading day takes a quarter of a second, and after the last day the record starts again.',
  simulated: 'The data set of recorded prices is not installed here, so these are made up.',
};

const config = await demoConfig();
watchServer();
const client = connect({ url: config.server, transport: 'sse' });
client.onState((state) => {
  showState(state);
  document.body.classList.toggle('is-away', state === 'offline' || state === 'stale');
});

interface Share {
  readonly prices: number[];
  readonly price: HTMLElement;
  readonly change: HTMLElement;
  readonly date: HTMLElement;
  readonly line: SVGElement;
}
const shares = new Map<string, Share>();
const index = { symbol: '', prices: [] as number[], firstDay: '' };

function shareOf(symbol: string): Share {
  const known = shares.get(symbol);
  if (known !== undefined) return known;
  const row = document.createElement('tr');
  row.innerHTML =
    '<th scope="row"></th><td class="number"></td><td class="number"></td><td></td>' +
    `<td><svg class="course" viewBox="0 0 ${COURSE.width} ${COURSE.height}" preserveAspectRatio="none" aria-hidden="true"><polyline /></svg></td>`;
  const [name, price, change, date] = row.children as unknown as HTMLElement[];
  (name as HTMLElement).textContent = symbol;
  element('rows').append(row);
  const line = row.querySelector('polyline') as SVGElement;
  // The row was made with these cells just above.
  const share = { prices: [], price, change, date, line } as unknown as Share;
  shares.set(symbol, share);
  return share;
}

/** Adds a price; returns the change to the one before it, in percent. */
function push(prices: number[], price: number, kept: number): number {
  const before = prices.at(-1) ?? price;
  prices.push(price);
  if (prices.length > kept) prices.shift();
  return before === 0 ? 0 : (price / before - 1) * 100;
}

function showChange(where: HTMLElement, percent: number): void {
  write(where, `${percent >= 0 ? '▲' : '▼'} ${Math.abs(percent).toFixed(2)} %`);
  where.classList.toggle('up', percent >= 0);
  where.classList.toggle('down', percent < 0);
}

/** Whatever came since the last frame of the screen is drawn once. */
let isDrawing = false;
function drawSoon(): void {
  if (isDrawing) return;
  isDrawing = true;
  requestAnimationFrame(() => {
    isDrawing = false;
    const points = coursePoints(index.prices, CHART);
    const chart = element('index-chart');
    chart.querySelector('.line')?.setAttribute('d', `M${points.join('L')}`);
    chart
      .querySelector('.area')
      ?.setAttribute('d', `M0,${CHART.height}L${points.join('L')}L${CHART.width},${CHART.height}Z`);
    for (const { prices, line } of shares.values()) line.setAttribute('points', coursePoints(prices, COURSE).join(' '));
  });
}

function show({ symbol, price, date, source }: Tick): void {
  // The first symbol of a day is the index.
  if (index.symbol === '') index.symbol = symbol;
  if (symbol === index.symbol) {
    write('index-name', symbol);
    write('index-price', price.toLocaleString(undefined, { minimumFractionDigits: 2, maximumFractionDigits: 2 }));
    showChange(element('index-change'), push(index.prices, price, INDEX_KEPT));
    write('index-day', date);
    const [low, high] = [Math.min(...index.prices), Math.max(...index.prices)];
    write('index-range', `${index.prices.length} days, from ${low.toFixed(0)} to ${high.toFixed(0)}`);
  } else {
    const share = shareOf(symbol);
    write(share.price, price.toFixed(2));
    showChange(share.change, push(share.prices, price, SHARE_KEPT));
    write(share.date, date.slice(0, 7));
  }
  write('source', source);
  element('source').dataset['state'] = source;
  write('about', ABOUT[source]);
  drawSoon();
}

let [count, gaps] = [0, 0];
const items = client.channel('ticker:market').read({ from: FROM, onGap: 'continue' }).items();
for await (const item of items) {
  if (item.type === 'gap') write('gaps', String(++gaps));
  if (item.type !== 'record') continue;
  show(item.record.data as Tick);
  write('count', (++count).toLocaleString());
  write('place', item.record.cursor);
}
