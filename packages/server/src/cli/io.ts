/**
 * What a command reads from and writes to. Data goes to stdout, talk to stderr, so that pipes just work; colours only
 * where a person watches and has not said no.
 */
import type { Readable, Writable } from 'node:stream';
import { styleText } from 'node:util';

export interface Io {
  readonly stdin: Readable & { readonly isTTY?: boolean };
  readonly stdout: Writable & { readonly isTTY?: boolean };
  readonly stderr: Writable & { readonly isTTY?: boolean };
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The folder relative paths start from. */
  readonly folder: string;
}

export const processIo: Io = {
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  environment: process.env,
  folder: process.cwd(),
};

/** Writes data; resolves when the reader of the pipe has room for more. */
export async function print(io: Io, text: string): Promise<void> {
  if (io.stdout.write(`${text}\n`)) return;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      io.stdout.off('drain', done);
      io.stdout.off('close', done);
      resolve();
    };
    io.stdout.on('drain', done);
    io.stdout.on('close', done);
  });
}

/** Writes one line of data as JSON. */
export function printJson(io: Io, value: unknown): Promise<void> {
  return print(io, JSON.stringify(value));
}

/** Says something to the person at the terminal. */
export function say(io: Io, text: string): void {
  io.stderr.write(`${text}\n`);
}

export type Colour = 'red' | 'green' | 'yellow' | 'cyan' | 'gray' | 'bold';

/** The text in a colour, where the stream shows colours. */
export function paint(io: Io, where: 'stdout' | 'stderr', colour: Colour, text: string): string {
  const wanted = io[where].isTTY === true && (io.environment['NO_COLOR'] ?? '') === '';
  return wanted ? styleText(colour, text, { validateStream: false }) : text;
}

/** A text from outside must not move the cursor or colour the terminal of whoever watches. */
export function visible(text: string): string {
  return text.replaceAll(
    /[\u0000-\u001f\u007f-\u009f]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
