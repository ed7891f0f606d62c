/**
 * Counts what the table names and writes it in Prometheus' text format. On the hot path a count is one addition to a
 * field of a cell that was looked up before; names and labels are put together at a scrape only.
 */
import { type Metric, type MetricKey, metricKeys, metricTable, type MetricTable } from './metrics-table.ts';

/** One number of a counter or gauge: `cell.value += 1` on the hot path, `cell.value = total` at a scrape. */
export interface Cell {
  value: number;
}

/** One histogram: how many observations were at most each bound. */
export class Histogram {
  readonly bounds: readonly number[];
  /** Per bound, not yet summed up; the last is for what lies above all bounds. */
  readonly counts: Float64Array;
  sum = 0;
  count = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = new Float64Array(bounds.length + 1);
  }

  observe(value: number): void {
    const { bounds, counts } = this;
    let at = 0;
    while (at < bounds.length && value > (bounds[at] as number)) at++;
    (counts[at] as number)++;
    this.sum += value;
    this.count++;
  }
}

/** A metric with its cells, one for each set of label values. */
export interface Family<Labels extends readonly string[], Kind> {
  /** The cell of these label values, in the table's order; keep it where it is used often. */
  of(...labels: { readonly [I in keyof Labels]: string }): Kind extends 'histogram' ? Histogram : Cell;
}

export type Metrics = {
  readonly [K in MetricKey]: Family<MetricTable[K]['labels'], MetricTable[K]['type']>;
} & {
  /** Called before each scrape, to set what is known rather than counted. */
  onScrape(collect: () => void): void;
  /** Everything, as `text/plain; version=0.0.4`. */
  render(): string;
};

export const METRICS_CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/** Label sets of all metrics together; a histogram's set is 16 lines. */
export const LABEL_SETS_MAX = 1_000;
/** Stands for namespaces that are not in the configuration. */
export const OTHER_NAMESPACE = '_other';

/** @param namespaces those of the configuration: no other gets a label of its own */
export function createMetrics(namespaces: readonly string[]): Metrics {
  const known = new Set(namespaces);
  const collectors: (() => void)[] = [];
  const families = new Map<MetricKey, FamilyState>();
  let labelSets = 0;
  const overflow: Cell = { value: 0 };

  function familyOf(key: MetricKey): FamilyState {
    const metric: Metric = metricTable[key];
    const namespaceAt = metric.labels.indexOf('namespace');
    const cells = new Map<string, Cell | Histogram>();
    const make = (): Cell | Histogram => (metric.type === 'histogram' ? new Histogram(metric.buckets) : { value: 0 });

    function of(...labels: string[]): Cell | Histogram {
      if (namespaceAt >= 0 && !known.has(labels[namespaceAt] as string)) labels[namespaceAt] = OTHER_NAMESPACE;
      const name = labelText(metric, labels);
      const found = cells.get(name);
      if (found !== undefined) return found;
      if (labelSets >= LABEL_SETS_MAX && labels.length > 0) {
        overflow.value++;
        if (namespaceAt >= 0 && labels[namespaceAt] !== OTHER_NAMESPACE) {
          return of(...labels.with(namespaceAt, OTHER_NAMESPACE));
        }
        // Not shown; its owner may count on.
        if (namespaceAt < 0) return make();
      }
      labelSets++;
      const cell = make();
      cells.set(name, cell);
      return cell;
    }
    return { metric, cells, of };
  }

  for (const key of metricKeys) families.set(key, familyOf(key));
  (families.get('metricsOverflow') as FamilyState).cells.set('', overflow);

  const metrics: Record<string, unknown> = {
    onScrape: (collect: () => void) => void collectors.push(collect),
    render() {
      for (const collect of collectors) collect();
      return [...families.values()].map(renderFamily).join('');
    },
  };
  for (const [key, { of }] of families) metrics[key] = { of };
  // Each key of the table has just got its family.
  return metrics as Metrics;
}

interface FamilyState {
  readonly metric: Metric;
  readonly cells: Map<string, Cell | Histogram>;
  readonly of: (...labels: string[]) => Cell | Histogram;
}

/** `transport="ws",code="forbidden"`. */
function labelText(metric: Metric, values: readonly string[]): string {
  return metric.labels.map((label, at) => `${label}="${escapeLabel(values[at] ?? '')}"`).join(',');
}

function escapeLabel(text: string): string {
  // Nearly every label is one word, and a session's life counts a dozen of them.
  if (!/[\\\n"]/.test(text)) return text;
  return text
    .replaceAll('\\', String.raw`\\`)
    .replaceAll('\n', String.raw`\n`)
    .replaceAll('"', String.raw`\"`);
}

function renderFamily({ metric, cells }: FamilyState): string {
  let text = `# HELP ${metric.name} ${metric.help}\n# TYPE ${metric.name} ${metric.type}\n`;
  for (const [labels, cell] of cells) {
    if (cell instanceof Histogram) text += renderHistogram(metric.name, labels, cell);
    else text += `${metric.name}${labels === '' ? '' : `{${labels}}`} ${showNumber(cell.value)}\n`;
  }
  return text;
}

function renderHistogram(name: string, labels: string, histogram: Histogram): string {
  const before = labels === '' ? '' : `${labels},`;
  const around = labels === '' ? '' : `{${labels}}`;
  let sum = 0;
  let text = '';
  for (const [at, bound] of histogram.bounds.entries()) {
    sum += histogram.counts[at] as number;
    text += `${name}_bucket{${before}le="${bound}"} ${sum}\n`;
  }
  return `${text}${name}_bucket{${before}le="+Inf"} ${histogram.count}\n${name}_sum${around} ${showNumber(histogram.sum)}\n${name}_count${around} ${histogram.count}\n`;
}

function showNumber(value: number): string {
  if (Number.isFinite(value)) return String(value);
  return Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf';
}
