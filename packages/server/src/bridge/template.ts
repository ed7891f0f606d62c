/**
 * Texts with words in braces, such as `order:{key}`: what a bridge makes of each message. Words are checked when the
 * configuration is read, values when a message is there.
 */
import { checkPattern, fillPattern, isChannelName } from '@tideway/protocol';
import { digestOf, type Message } from './message.ts';

/** Why a message cannot be put where the configuration says, in words. */
export class Unmapped extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'Unmapped';
  }
}

/** A message, and its body as JSON has it: `undefined` where it is not read as JSON. */
export interface Readable {
  readonly message: Message;
  readonly json: unknown;
}

type Word = (from: Readable) => string | undefined;

interface Part {
  readonly text: string;
  readonly word: Word;
}

/** What can stand in braces, by its name; the rest behind a dot is the word's own. */
export type WordName = 'key' | 'subject' | 'routingKey' | 'header' | 'body' | 'digest';

const forms: Readonly<Record<WordName, string>> = {
  key: '{key}',
  subject: '{subject}, {subject.N}',
  routingKey: '{routingKey}, {routingKey.N}',
  header: '{header.NAME}',
  body: '{body.PATH}',
  digest: '{digest}',
};

export class Template {
  readonly text: string;
  readonly #parts: readonly Part[];

  /** Throws in words: which word is wrong, and what is allowed. */
  constructor(text: string, words: readonly WordName[]) {
    this.text = text;
    this.#parts = [...text.matchAll(/\{([^{}]*)\}/g)].map(([whole, inner]) => ({
      text: whole,
      word: wordOf(whole, inner as string, words),
    }));
    if (/[{}]/.test(text.replaceAll(/\{[^{}]*\}/g, ''))) throw new Error(`"${text}" has a brace without its other one`);
  }

  /** The text of a message. Throws `Unmapped`. */
  textOf(from: Readable): string {
    let at = 0;
    return this.text.replaceAll(/\{[^{}]*\}/g, () => valueOf(this.#parts[at++] as Part, this.text, from));
  }

  /** The words and their values, in order. Throws `Unmapped`. */
  values(from: Readable): string[] {
    return this.#parts.map((part) => valueOf(part, this.text, from));
  }
}

/**
 * The channel of a message. A text that is one word and nothing else, `{key}`, takes its value for the channel's name as
 * it is; in any other each value is encoded as a channel's parameter (PROTOCOL.md NAM-3).
 */
export class ChannelTemplate {
  readonly #template: Template;
  /** Absent where the whole name is one value. */
  readonly #pattern: string | undefined;

  /** Throws in words. */
  constructor(text: string, words: readonly WordName[]) {
    this.#template = new Template(text, words);
    if (/^\{[^{}]*\}$/.test(text)) return;
    let count = 0;
    this.#pattern = text.replaceAll(/\{[^{}]*\}/g, () => `{p${count++}}`);
    try {
      checkPattern(this.#pattern);
    } catch (error) {
      // It names the parameters it was given.
      const why = (error as Error).message.replace(/^.*? is not a channel pattern: /, '');
      throw new Error(`"${text}" names no channel: ${why}`, { cause: error });
    }
  }

  /** Throws `Unmapped`. */
  nameOf(from: Readable): string {
    const { text } = this.#template;
    const values = this.#template.values(from);
    if (this.#pattern === undefined) {
      const [name] = values;
      if (isChannelName(name)) return name;
      throw new Unmapped(`${text} is ${shown(name)}, which is no channel's name`);
    }
    try {
      return fillPattern(this.#pattern, Object.fromEntries(values.map((value, n) => [`p${n}`, value])));
    } catch {
      throw new Unmapped(`${text} with ${values.map(shown).join(', ')} is no channel's name`);
    }
  }
}

function valueOf({ text, word }: Part, template: string, from: Readable): string {
  const value = word(from);
  if (value !== undefined && value !== '') return value;
  throw new Unmapped(`${template === text ? text : `${template}: ${text}`} has no value in this message`);
}

function wordOf(whole: string, inner: string, words: readonly WordName[]): Word {
  const dot = inner.indexOf('.');
  const name = (dot < 0 ? inner : inner.slice(0, dot)) as WordName;
  const rest = dot < 0 ? undefined : inner.slice(dot + 1);
  const word = words.includes(name) ? readerOf(name, rest) : undefined;
  if (word !== undefined) return word;
  throw new Error(`${whole} is not known here; ${words.map((one) => forms[one]).join(', ')} are`);
}

function readerOf(name: WordName, rest: string | undefined): Word | undefined {
  switch (name) {
    case 'key':
      return rest === undefined ? ({ message }) => utf8(message.key) : undefined;
    case 'digest':
      return rest === undefined ? ({ message }) => digestOf(message) : undefined;
    case 'subject':
    case 'routingKey': {
      if (rest === undefined) return ({ message }) => message.subject;
      const token = /^[1-9]\d?$/.test(rest) ? Number(rest) - 1 : undefined;
      return token === undefined ? undefined : ({ message }) => message.subject.split('.')[token];
    }
    case 'header':
      return rest === undefined || rest === '' ? undefined : ({ message }) => message.headers.get(rest);
    case 'body': {
      const path = rest?.split('.') ?? [''];
      return path.includes('') ? undefined : ({ json }) => textAt(json, path);
    }
    default:
      return name satisfies never;
  }
}

/** A text, number or truth value inside of JSON, as a text. */
function textAt(json: unknown, path: readonly string[]): string | undefined {
  let value = json;
  for (const step of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, step)) return undefined;
    value = (value as Readonly<Record<string, unknown>>)[step];
  }
  if (typeof value === 'string') return value;
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : undefined;
}

function utf8(bytes: Buffer | undefined): string | undefined {
  if (bytes === undefined) return undefined;
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

function shown(text: string | undefined): string {
  const whole = JSON.stringify(text ?? '');
  return whole.length > 80 ? `${whole.slice(0, 80)}…` : whole;
}
