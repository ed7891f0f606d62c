/**
 * Flags as a table: how they are read, what a wrong one is told, and how `--help` and docs/reference/cli.md show them.
 * Kinds, units and checks are those of the server's settings.
 */
import { parseArgs, type ParseArgsConfig } from 'node:util';
import { parseCursor } from '@tideway/protocol';
import type { Kinds, Setting } from '../ops/config-schema.ts';
import { checkValue, describeRange, parseValue, showNumber, suggest } from '../ops/config-values.ts';
import { usageError } from './exit-codes.ts';

export type Flag = Exclude<Setting, { readonly kind: 'json' }> & {
  /** What stands for its value in the help, such as `URL`. */
  readonly value?: string;
  /** The variable that says the same; the flag wins. */
  readonly variable?: string;
  /** A list whose items may hold commas: each is given by a flag of its own. */
  readonly isWhole?: true;
};

export type FlagTable = Readonly<Record<string, Flag>>;

/** What a flag holds once it is read. */
type FlagValue<F extends Flag> = F extends { readonly kind: 'choice'; readonly choices: readonly (infer Choice)[] }
  ? Choice
  : Kinds[F['kind']];

export type FlagValues<Table extends FlagTable> = {
  readonly [Name in keyof Table]:
    | FlagValue<Table[Name]>
    | (Table[Name] extends { readonly default: unknown } ? never : undefined);
};

/** What was typed, before it is read. */
export type Given = Readonly<Record<string, string | boolean | readonly string[] | undefined>>;

export interface Parsed<Table extends FlagTable> {
  readonly flags: FlagValues<Table>;
  readonly given: Given;
  readonly positionals: readonly string[];
  readonly isHelp: boolean;
}

/** `--json` and `--help` are everybody's. */
export const jsonFlag = { kind: 'switch', default: false, meaning: 'One JSON object a line on stdout.' } as const;

/**
 * Reads the arguments of a command.
 *
 * @throws CliError (usage) that names the flag, the value and what is allowed
 */
export function parseFlags<const Table extends FlagTable>(
  table: Table,
  argv: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): Parsed<Table> {
  const { values, positionals } = parseArguments(optionsOf(table), argv);
  const flags: Record<string, unknown> = {};
  const problems: string[] = [];
  for (const [name, flag] of Object.entries<Flag>(table)) {
    const fromVariable = flag.variable === undefined ? undefined : environment[flag.variable];
    const [origin, given] =
      values[name] !== undefined
        ? [`--${name}`, values[name]]
        : fromVariable !== undefined && fromVariable !== ''
          ? [flag.variable as string, fromVariable]
          : ['', undefined];
    if (given === undefined) {
      flags[name] = 'default' in flag ? flag.default : undefined;
      continue;
    }
    const value =
      typeof given === 'boolean' || (flag.isWhole === true && typeof given === 'object')
        ? given
        : parseValue(flag, typeof given === 'string' ? given : given.join(','));
    const problem = checkValue(origin, flag, value, given);
    if (problem !== undefined) problems.push(problem.message);
    flags[name] = value;
  }
  if (problems.length > 0 && values['help'] !== true) throw usageError(problems.join('\n'));
  // Each value is its flag's default or was checked against its kind.
  return { flags: flags as FlagValues<Table>, given: values, positionals, isHelp: values['help'] === true };
}

type Options = NonNullable<ParseArgsConfig['options']>;

function optionsOf(table: FlagTable): Options {
  const options: Options = {};
  for (const [name, { kind }] of Object.entries(table)) {
    if (kind === 'switch') options[name] = { type: 'boolean' };
    else options[name] = { type: 'string', multiple: kind === 'list' || kind === 'choices' };
  }
  return options;
}

/** `parseArgs` with messages for people; understands `--help` and `-h` besides the options given. */
function parseArguments(
  options: Options,
  argv: readonly string[],
): {
  readonly values: Given;
  readonly positionals: readonly string[];
} {
  try {
    const { values, positionals } = parseArgs({
      args: joinCursors(options, argv),
      options: { ...options, help: { type: 'boolean', short: 'h' } },
      allowPositionals: true,
    });
    return { values, positionals };
  } catch (error) {
    throw usageError(describeMistake(error as Error & { readonly code?: string }, Object.keys(options)));
  }
}

/** Puts a cursor behind its flag and a `=`: it may begin with a dash (CUR-2), and would be taken for a flag itself. */
function joinCursors(options: Options, argv: readonly string[]): string[] {
  const joined: string[] = [];
  for (const word of argv) {
    const before = joined.at(-1) ?? '';
    const isItsValue = before.startsWith('--') && options[before.slice(2)]?.type === 'string';
    if (isItsValue && word.startsWith('-') && parseCursor(word) !== undefined)
      joined.splice(-1, 1, `${before}=${word}`);
    else joined.push(word);
  }
  return joined;
}

function describeMistake(error: Error & { readonly code?: string }, known: readonly string[]): string {
  const flag = /'(?:-\w, )?(--?[^' =]+)/.exec(error.message)?.[1] ?? '';
  if (error.code === 'ERR_PARSE_ARGS_UNKNOWN_OPTION') {
    return `there is no flag ${flag}${suggest(
      flag,
      known.map((name) => `--${name}`),
    )}`;
  }
  return error.message.replace(/^Option /, '').replaceAll('\n', ' ');
}

/** The lines of `--help` about flags. */
export function describeFlags(table: FlagTable): string {
  const rows = [
    ...Object.entries(table).map(([name, flag]) => [`--${name}${valueOf(flag)}`, describeFlag(flag)] as const),
    ['-h, --help', 'Shows this.'] as const,
  ];
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`).join('\n');
}

/** ` COUNT`: what stands for the value. */
export function valueOf(flag: Flag): string {
  if (flag.kind === 'switch') return '';
  if (flag.value !== undefined) return ` ${flag.value}`;
  if (flag.kind === 'choice') return ` ${flag.choices.join('|')}`;
  return ` ${{ text: 'TEXT', list: 'TEXT', choices: 'LIST', count: 'N', bytes: 'SIZE', duration: 'TIME', port: 'PORT' }[flag.kind]}`;
}

/** The meaning with default and variable. */
export function describeFlag(flag: Flag): string {
  const notes: string[] = [];
  const shown = defaultOf(flag);
  if (shown !== undefined) notes.push(`default ${shown}`);
  if ('min' in flag && flag.kind !== 'port') notes.push(describeRange(flag).replace(/^.* from /, ''));
  if (flag.variable !== undefined) notes.push(`$${flag.variable}`);
  if (flag.kind === 'list') notes.push('may be repeated');
  return notes.length === 0 ? flag.meaning : `${flag.meaning} (${notes.join('; ')})`;
}

function defaultOf(flag: Flag): string | undefined {
  const value: unknown = 'default' in flag ? flag.default : undefined;
  if (value === undefined || value === false || (Array.isArray(value) && value.length === 0)) return undefined;
  if (typeof value === 'number' && 'min' in flag) return showNumber(flag.kind, value);
  return typeof value === 'string' ? value : JSON.stringify(value);
}
