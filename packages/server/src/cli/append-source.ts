/** Where `append` takes its records from: an argument, stdin or a file, a line each. */
import { createReadStream, openSync } from 'node:fs';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { CliError, exitCodes, usageError } from './exit-codes.ts';
import type { Io } from './io.ts';

export interface Append {
  readonly data: unknown;
  readonly key: string | undefined;
  readonly rid: string | undefined;
}

export interface SourceFlags {
  readonly key: string | undefined;
  readonly id: string | undefined;
  readonly text: boolean;
  readonly file: string | undefined;
  readonly records: boolean;
  readonly count: number | undefined;
}

/** @throws CliError (usage): at once for an argument, at its line for a file or pipe */
export function readAppends(io: Io, argument: string | undefined, flags: SourceFlags): AsyncIterable<Append> {
  const { key, id, text, file, records, count } = flags;
  if (argument !== undefined && argument !== '-') {
    if (file !== undefined) throw usageError('give DATA or --file, not both');
    if (records) throw usageError('--records are read from stdin or --file, not from an argument');
    // The first is read before anything is sent: what is wrong is told without a server.
    parseData(argument.replaceAll('{{n}}', '1'), text, 'DATA');
    return repeated(argument, { text, key, id, count: count ?? 1 });
  }
  if (count !== undefined) throw usageError('--count repeats DATA; stdin and --file have as many records as lines');
  if (id !== undefined) throw usageError('--id is the id of one record; give DATA as an argument');
  if (argument === undefined && file === undefined && io.stdin.isTTY === true)
    throw usageError('there is no data', `tideway append CHANNEL '{"text":"hi"}', or "-" to type lines`);
  const source = file === undefined ? io.stdin : openFile(resolve(io.folder, file), file);
  return lines(source, file ?? 'stdin', { text, key, records });
}

/** Opened at once: a file that is not there is told before anything is sent. */
function openFile(path: string, name: string): Readable {
  try {
    return createReadStream(path, { fd: openSync(path, 'r') });
  } catch (error) {
    throw usageError(`${name} cannot be read: ${(error as Error).message}`);
  }
}

async function* repeated(
  argument: string,
  {
    text,
    key,
    id,
    count,
  }: {
    readonly text: boolean;
    readonly key: string | undefined;
    readonly id: string | undefined;
    readonly count: number;
  },
): AsyncIterable<Append> {
  for (let n = 1; n <= count; n++)
    yield { data: parseData(argument.replaceAll('{{n}}', String(n)), text, 'DATA'), key, rid: id };
}

async function* lines(
  source: Readable,
  name: string,
  { text, key, records }: { readonly text: boolean; readonly key: string | undefined; readonly records: boolean },
): AsyncIterable<Append> {
  let failure: Error | undefined;
  const reader = createInterface({ input: source, crlfDelay: Infinity });
  source.on('error', (error: Error) => {
    failure = error;
    reader.close();
  });
  let number = 0;
  for await (const line of reader) {
    number++;
    if (line.trim() === '') continue;
    const where = `line ${number} of ${name}`;
    if (!records) {
      yield { data: parseData(line, text, where), key, rid: undefined };
      continue;
    }
    const append = recordOf(parseData(line, false, where), where);
    if (append !== undefined) yield { ...append, key: append.key ?? key };
  }
  if (failure !== undefined) throw new CliError(exitCodes.failed, `${name} cannot be read: ${failure.message}`);
}

function parseData(text: string, isText: boolean, where: string): unknown {
  if (isText) return text;
  try {
    return JSON.parse(text, keepDigits) as unknown;
  } catch {
    throw usageError(
      `${where} is no JSON: ${text.length > 60 ? `${text.slice(0, 60)}…` : text}`,
      `--text for text as it is, or quotes of JSON inside those of the shell: '${JSON.stringify(text.slice(0, 20))}'`,
    );
  }
}

/** A number that a double cannot hold goes out as it came in. */
function keepDigits(_key: string, value: unknown, { source }: { readonly source?: string } = {}): unknown {
  if (typeof value !== 'number' || source === undefined || String(value) === source) return value;
  return rawJson(source);
}

/** Node has had it since version 21; the types do not know it yet. */
const { rawJSON: rawJson } = JSON as unknown as { readonly rawJSON: (text: string) => unknown };

/** A line of `tail --json`; those that tell of something else than a record are nothing to append. */
function recordOf(line: unknown, where: string): Append | undefined {
  const { type, data, encoding, key, rid } = Object(line) as Readonly<Record<string, unknown>>;
  if (type !== undefined && type !== 'record') return undefined;
  if (data === undefined) throw usageError(`${where} is no record: it has no "data"`);
  return {
    data: encoding === 'base64' && typeof data === 'string' ? new Uint8Array(Buffer.from(data, 'base64')) : data,
    key: typeof key === 'string' ? key : undefined,
    rid: typeof rid === 'string' ? rid : undefined,
  };
}
