/** Live prices over SSE: recorded market data, appended by a process of its own. */
import { connect } from '@tideway/client';
import { demoConfig, element, watchServer } from './page.ts';

interface Tick {
  readonly symbol: string;
  readonly price: number;
  readonly date: string;
  readonly source: 'recorded' | 'simulated';
}

const HISTORY = 60;
const config = await demoConfig();
watchServer();
const client = connect({ url: config.server, transport: 'sse' });
const rows = new Map<string, { readonly prices: number[]; readonly cells: HTMLTableCellElement[] }>();
let count = 0;
let gaps = 0;

client.onState((state) => {
  element('state').textContent = state;
  element('state').dataset['state'] = state;
});

function rowOf(symbol: string) {
  const known = rows.get(symbol);
  if (known !== undefined) return known;
  if (rows.size === 0) element('rows').replaceChildren();
  const line = document.createElement('tr');
  const cells = Array.from({ length: 5 }, (_, index) => {
    const cell = document.createElement('td');
    if (index === 1 || index === 2) cell.className = 'number';
    line.append(cell);
    return cell;
  });
  (cells[0] as HTMLElement).textContent = symbol;
  element('rows').append(line);
  const row = { prices: [] as number[], cells };
  rows.set(symbol, row);
  return row;
}

function draw(prices: readonly number[]): string {
  const low = Math.min(...prices);
  const span = Math.max(...prices) - low || 1;
  const points = prices.map((price, x) => `${(x * 120) / (HISTORY - 1)},${24 - ((price - low) / span) * 22}`).join(' ');
  return `<svg viewBox="0 0 120 26" width="120" height="26" aria-hidden="true"><polyline points="${points}" fill="none" stroke="currentColor" stroke-width="1.5"/></svg>`;
}

function show({ symbol, price, date, source }: Tick): void {
  const { prices, cells } = rowOf(symbol);
  const before = prices.at(-1) ?? price;
  prices.push(price);
  if (prices.length > HISTORY) prices.shift();
  const change = before === 0 ? 0 : ((price - before) / before) * 100;
  const cell = (index: number): HTMLTableCellElement => cells[index] as HTMLTableCellElement;
  cell(1).textContent = price.toFixed(2);
  cell(2).textContent = `${change >= 0 ? '▲' : '▼'} ${Math.abs(change).toFixed(2)} %`;
  cell(2).className = `number ${change >= 0 ? 'up' : 'down'}`;
  cell(3).textContent = date;
  cell(4).innerHTML = draw(prices);
  element('source').textContent = source;
  element('source').dataset['state'] = source;
  element('about').textContent =
    source === 'recorded'
      ? 'Real daily closes of the S&P 500 and monthly ones of five shares, 2000–2020; the time is compressed: a trading day is a quarter of a second.'
      : 'The recorded data set is not installed here, so these prices are made up.';
}

for await (const item of client.channel('ticker:market').read({ from: 'last:300', onGap: 'continue' }).items()) {
  if (item.type === 'gap') element('gaps').textContent = String(++gaps);
  if (item.type !== 'record') continue;
  show(item.record.data as Tick);
  element('count').textContent = String(++count);
  element('place').textContent = item.record.cursor;
}
