/**
 * The demo's market: recorded daily bars, replayed by a process of its own through the public HTTP API, as a back end
 * would. Survives the server's death: a batch without an answer is sent again with the same ids.
 */
import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';

const CHANNEL = 'ticker:market';
/** One trading day of the record in this time. */
const DAY_MS = 250;
const RETRY_MS = 300;
/** A batch without answer by then is sent again. */
const ANSWER_MS = 10_000;

interface Tick {
  readonly symbol: string;
  readonly price: number;
  readonly date: string;
  /** `recorded`: from the data set; `simulated`: made up, because the data set is not installed. */
  readonly source: 'recorded' | 'simulated';
}

/** Appends day after day until the process is told to stop, or its parent is gone. */
async function replay(url: string): Promise<void> {
  const days = await readDays();
  const parent = process.ppid;
  let isStopped = false;
  process.once('SIGTERM', () => (isStopped = true));
  process.once('SIGINT', () => (isStopped = true));
  const run = Date.now().toString(36);
  for (let n = 0; !isStopped && process.ppid === parent; n++) {
    const ticks = days[n % days.length] as readonly Tick[];
    const body = ticks.map((tick) => ({
      channel: CHANNEL,
      rid: `${run}-${n}-${tick.symbol}`,
      key: tick.symbol,
      data: tick,
    }));
    while (!isStopped && process.ppid === parent && !(await post(url, body))) await delay(RETRY_MS);
    await delay(DAY_MS);
  }
}

interface ItemResult {
  readonly cursor?: string;
  readonly code?: string;
  readonly message?: string;
  /** Present where the same may be sent again. */
  readonly retryMs?: number;
}

/**
 * True when every record is stored, false when the batch is to be sent again as it is.
 *
 * @throws Error when a record is refused for good
 */
export async function post(url: string, body: readonly object[]): Promise<boolean> {
  let results: readonly ItemResult[];
  try {
    const response = await fetch(`${url}/v1/batch`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(ANSWER_MS),
    });
    const answer = (await response.json()) as { readonly results?: readonly ItemResult[]; readonly error?: ItemResult };
    results = answer.results ?? [answer.error ?? {}];
  } catch {
    // Dead, dying or starting: what was sent may be stored, and is recognized by its rid.
    return false;
  }
  const refused = results.find(({ cursor, retryMs }) => cursor === undefined && retryMs === undefined);
  if (refused !== undefined) throw new Error(`the server refuses prices: ${refused.message ?? refused.code}`);
  return results.every(({ cursor }) => cursor !== undefined);
}

/** Days of prices, oldest first: S&P 500 and five shares, from `vega-datasets` where it is installed. */
async function readDays(): Promise<readonly (readonly Tick[])[]> {
  try {
    // The package exports its code only: its data lies beside it.
    const folder = new URL('../data/', import.meta.resolve('vega-datasets'));
    const index = await readFile(new URL('sp500-2000.csv', folder), 'utf8');
    const shares = await readFile(new URL('stocks.csv', folder), 'utf8');
    return recordedDays(index, shares);
  } catch {
    return simulatedDays();
  }
}

export function recordedDays(index: string, shares: string): readonly (readonly Tick[])[] {
  const monthly = new Map<string, Map<string, number>>();
  for (const line of shares.trim().split('\n').slice(1)) {
    const [symbol = '', date = '', price = ''] = line.split(',');
    const month = monthOf(date);
    if (month === undefined || !Number.isFinite(Number(price))) continue;
    const prices = monthly.get(month) ?? new Map<string, number>();
    prices.set(symbol, Number(price));
    monthly.set(month, prices);
  }
  const days: Tick[][] = [];
  let lastMonth = '';
  for (const line of index.trim().split('\n').slice(1)) {
    const [date = '', , , , close = ''] = line.split(',');
    if (!Number.isFinite(Number(close)) || close === '') continue;
    const ticks: Tick[] = [{ symbol: 'S&P 500', price: Number(close), date, source: 'recorded' }];
    const month = date.slice(0, 7);
    if (month !== lastMonth) {
      lastMonth = month;
      for (const [symbol, price] of monthly.get(month) ?? []) ticks.push({ symbol, price, date, source: 'recorded' });
    }
    days.push(ticks);
  }
  return days;
}

/** `Jan 1 2000` → `2000-01`. */
function monthOf(date: string): string | undefined {
  const [name = '', , year = ''] = date.split(' ');
  const at = 'JanFebMarAprMayJunJulAugSepOctNovDec'.indexOf(name) / 3;
  return Number.isInteger(at) && at >= 0 && year !== '' ? `${year}-${String(at + 1).padStart(2, '0')}` : undefined;
}

function simulatedDays(): readonly (readonly Tick[])[] {
  const prices = new Map([
    ['ALPHA', 100],
    ['BETA', 40],
    ['GAMMA', 250],
  ]);
  return Array.from({ length: 500 }, (_, day) =>
    [...prices].map(([symbol, price]): Tick => {
      const next = Math.max(1, price * (1 + Math.sin(day * (symbol.length + 1)) / 60));
      prices.set(symbol, next);
      return { symbol, price: Math.round(next * 100) / 100, date: `day ${day + 1}`, source: 'simulated' };
    }),
  );
}

if (import.meta.main) await replay(process.argv[2] as string);
