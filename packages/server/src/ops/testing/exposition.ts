/**
 * A strict reader of Prometheus' text format 0.0.4 for tests: throws at what a scraper would refuse.
 */

export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface ExposedFamily {
  readonly type: string;
  readonly help: string;
  readonly samples: Sample[];
}

const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/s;
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\[\\n"])*)"(,|$)/y;

export function parseExposition(text: string): Map<string, ExposedFamily> {
  if (!text.endsWith('\n')) throw new Error('the last line must end');
  const families = new Map<string, ExposedFamily>();
  let help: { readonly name: string; readonly text: string } | undefined;
  let current: { readonly name: string; readonly family: ExposedFamily } | undefined;
  for (const line of text.slice(0, -1).split('\n')) {
    const comment = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line);
    if (comment?.[1] === 'HELP') {
      help = { name: comment[2] as string, text: comment[3] as string };
    } else if (comment?.[1] === 'TYPE') {
      const name = comment[2] as string;
      if (help?.name !== name || families.has(name)) throw new Error(`family ${name} without help, or twice`);
      current = { name, family: { type: comment[3] as string, help: help.text, samples: [] } };
      families.set(name, current.family);
    } else {
      if (current === undefined) throw new Error(`sample before any family: ${line}`);
      const sample = parseSample(line);
      const suffix = sample.name.slice(current.name.length);
      const suffixes = current.family.type === 'histogram' ? ['_bucket', '_sum', '_count'] : [''];
      if (!sample.name.startsWith(current.name) || !suffixes.includes(suffix)) throw new Error(`stray sample: ${line}`);
      current.family.samples.push(sample);
    }
  }
  return families;
}

function parseSample(line: string): Sample {
  const match = SAMPLE.exec(line);
  if (match === null) throw new Error(`no sample: ${line}`);
  const labels: Record<string, string> = {};
  const text = match[2] ?? '';
  LABEL.lastIndex = 0;
  while (LABEL.lastIndex < text.length) {
    const label = LABEL.exec(text);
    if (label === null) throw new Error(`labels: ${text}`);
    labels[label[1] as string] = (label[2] as string).replaceAll(/\\(.)/g, (_, c: string) => (c === 'n' ? '\n' : c));
  }
  return { name: match[1] as string, labels, value: numberOf(match[3] as string) };
}

function numberOf(text: string): number {
  if (text === '+Inf') return Infinity;
  if (text === '-Inf') return -Infinity;
  if (text !== 'NaN' && !/^[-+]?[\d.]+(?:e[-+]?\d+)?$/.test(text)) throw new Error(`no number: ${text}`);
  return Number(text);
}
