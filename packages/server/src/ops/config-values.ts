/**
 * Reads and checks one value of one setting. A message says which key, which value, and what is allowed; the value of a
 * secret is never shown.
 */
import { isIP } from 'node:net';
import type { Setting, TextForm } from './config-schema.ts';

/** What is wrong with one key. */
export interface Problem {
  readonly key: string;
  readonly message: string;
}

export class ConfigError extends Error {
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    super(problems.map((problem) => problem.message).join('\n'));
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

const SIZES = {
  '': 1,
  b: 1,
  k: 1024,
  kib: 1024,
  m: 1024 ** 2,
  mib: 1024 ** 2,
  g: 1024 ** 3,
  gib: 1024 ** 3,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
} as const;
const TIMES = { '': 1, ms: 1, s: 1_000, m: 60_000, min: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/**
 * Turns the text of a variable or flag into what code would give; text that is not understood comes back as it is, for
 * `checkValue` to refuse.
 */
export function parseValue(setting: Setting, text: string): unknown {
  switch (setting.kind) {
    case 'text':
    case 'choice':
      return text;
    case 'list':
    case 'choices':
      return text
        .split(',')
        .map((item) => item.trim())
        .filter((item) => item !== '');
    case 'switch':
      if (/^(?:1|true|yes|on)$/i.test(text)) return true;
      return /^(?:0|false|no|off)$/i.test(text) ? false : text;
    case 'count':
    case 'port':
      return /^\d[\d_]*$/.test(text) ? Number(text.replaceAll('_', '')) : text;
    case 'bytes':
      return withUnit(text, SIZES);
    case 'duration':
      return withUnit(text, TIMES);
    case 'json':
      try {
        return JSON.parse(text) as unknown;
      } catch {
        return text;
      }
    default:
      return setting satisfies never;
  }
}

function withUnit(text: string, units: Readonly<Record<string, number>>): number | string {
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text.trim());
  const unit = match === null ? undefined : (match[2] as string).toLowerCase();
  if (match === null || unit === undefined || !Object.hasOwn(units, unit)) return text;
  return Number(match[1]) * (units[unit] as number);
}

/**
 * Says what is wrong with a value; `undefined` when it is right.
 *
 * @param typed what the value was read from: it is shown as it stands there
 */
export function checkValue(key: string, setting: Setting, value: unknown, typed?: unknown): Problem | undefined {
  const allowed = whatIsAllowed(setting, value);
  if (allowed === undefined) return undefined;
  const shown = typeof value === 'number' && typeof typed === 'string' ? cut(typed.trim()) : show(value);
  const got = setting.secret === true ? 'the value given (not shown)' : shown;
  return { key, message: `${key}: ${got} is not allowed; ${allowed}` };
}

function whatIsAllowed(setting: Setting, value: unknown): string | undefined {
  switch (setting.kind) {
    case 'text':
      if (typeof value !== 'string' || value === '') return 'a text is';
      return setting.form === undefined ? undefined : formOf(setting.form, value);
    case 'list': {
      if (!Array.isArray(value) || !value.every((item) => typeof item === 'string' && item !== ''))
        return 'a list of texts is';
      const { form } = setting;
      return form && (value as string[]).map((item) => formOf(form, item)).find((problem) => problem !== undefined);
    }
    case 'choice':
      return setting.choices.includes(value as string) ? undefined : `one of ${setting.choices.join(', ')} is`;
    case 'choices': {
      const isRight =
        Array.isArray(value) && value.length > 0 && value.every((item) => setting.choices.includes(item as string));
      return isRight ? undefined : `a list of ${setting.choices.join(', ')} is`;
    }
    case 'switch':
      return typeof value === 'boolean' ? undefined : 'true or false is';
    case 'count':
    case 'bytes':
    case 'duration':
    case 'port': {
      const isRight =
        Number.isSafeInteger(value) && (value as number) >= setting.min && (value as number) <= setting.max;
      return isRight ? undefined : `${describeRange(setting)} is`;
    }
    case 'json':
      return typeof value === 'object' && value !== null
        ? undefined
        : 'an object or list (as JSON in the environment) is';
    default:
      return setting satisfies never;
  }
}

/** `1 KiB to 16 MiB`, with the unit of the kind. */
export function describeRange(setting: Extract<Setting, { min: number }>): string {
  const what = { count: 'a whole number', bytes: 'a size', duration: 'a duration in milliseconds', port: 'a port' }[
    setting.kind
  ];
  return `${what} from ${showNumber(setting.kind, setting.min)} to ${showNumber(setting.kind, setting.max)}`;
}

/** A number as people read it: `256 KiB`, `25 s`, `1,000`. */
export function showNumber(kind: Extract<Setting, { min: number }>['kind'], value: number): string {
  if (kind === 'bytes')
    return inUnits(value, [
      ['GiB', 1024 ** 3],
      ['MiB', 1024 ** 2],
      ['KiB', 1024],
      ['B', 1],
    ]);
  if (kind === 'duration')
    return inUnits(value, [
      ['h', 3_600_000],
      ['min', 60_000],
      ['s', 1_000],
      ['ms', 1],
    ]);
  return kind === 'port' ? String(value) : value.toLocaleString('en-US');
}

function inUnits(value: number, units: readonly (readonly [string, number])[]): string {
  // The last unit is 1 and divides everything.
  const [name, size] = units.find(([, size]) => (value >= size || size === 1) && value % size === 0) as readonly [
    string,
    number,
  ];
  return `${(value / size).toLocaleString('en-US')} ${name}`;
}

const ORIGIN = /^[a-z][a-z0-9+.-]*:\/\/[^/?#@*\s]+$/i;
const HOST = /^(?:\[[0-9a-f:.]+\]|[a-z0-9]([a-z0-9.-]*[a-z0-9])?)$/i;

function formOf(form: TextForm, text: string): string | undefined {
  if (form === 'network')
    return isNetwork(text) ? undefined : 'addresses and networks, such as 10.0.0.7, 10.0.0.0/8 or fd00::/8, are';
  if (text === '*') return undefined;
  if (form === 'host')
    return HOST.test(text) ? undefined : 'names without scheme and port, such as chat.example.com, or * are';
  const isOrigin =
    ORIGIN.test(text) &&
    (!/^https?:/i.test(text) || (URL.canParse(text) && new URL(text).origin === text.toLowerCase()));
  return isOrigin
    ? undefined
    : 'origins as a browser sends them, such as https://app.example.com or http://localhost:5173, or * are';
}

/** An address, or a network as `address/bits`. */
function isNetwork(text: string): boolean {
  const [address = '', bits, ...more] = text.split('/');
  if (isIP(address) === 0 || more.length > 0) return false;
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (isIP(address) === 4 ? 32 : 128));
}

/** A value in a message: short, and never a line of its own. */
export function show(value: unknown): string {
  if (typeof value === 'function') return 'a function';
  // JSON has no word for NaN and Infinity.
  return cut(typeof value === 'number' ? String(value) : (JSON.stringify(value) ?? String(value)));
}

function cut(text: string): string {
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}

/** ` (did you mean x?)` when one of the known words is near. */
export function suggest(word: string, known: readonly string[]): string {
  const near = known
    .map((other) => ({ other, away: distance(word.toLowerCase(), other.toLowerCase()) }))
    .filter(({ other, away }) => away <= Math.max(2, Math.floor(other.length / 3)))
    .sort((a, b) => a.away - b.away)[0];
  return near === undefined ? '' : ` (did you mean ${near.other}?)`;
}

/** Levenshtein's distance. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min((row[j] as number) + 1, (next[j - 1] as number) + 1, change));
    }
    row = next;
  }
  return row[b.length] as number;
}
