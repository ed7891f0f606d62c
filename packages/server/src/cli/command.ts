/** What a command is: how it is called, what it does, and the world it is given. Data goes to stdout, talk to stderr. */
import type { Readable, Writable } from 'node:stream';
import type { ParseArgsOptionsConfig } from 'node:util';

/** 0 ok · 1 failed · 2 usage · 3 refused · 4 unreachable · 5 a check failed · 130 interrupted */
export const exitCodes = {
  ok: 0,
  failed: 1,
  usage: 2,
  refused: 3,
  unreachable: 4,
  checkFailed: 5,
  interrupted: 130,
} as const;

export interface Io {
  readonly stdin: Readable & { readonly isTTY?: boolean };
  readonly stdout: Writable & { readonly isTTY?: boolean };
  readonly stderr: Writable & { readonly isTTY?: boolean };
  readonly environment: Readonly<Record<string, string | undefined>>;
}

export type Flags = Readonly<Record<string, string | boolean | readonly (string | boolean)[] | undefined>>;

export interface Command {
  /** One line for the list of commands. */
  readonly summary: string;
  /** How it is written: `tideway ` and this. */
  readonly usage: string;
  readonly options: ParseArgsOptionsConfig;
  /** What each option is for, by name; each option has an entry. */
  readonly help: Readonly<Record<string, string>>;
  readonly example: string;
  /** Resolves with the exit code. */
  run(call: { readonly flags: Flags; readonly positionals: readonly string[]; readonly io: Io }): Promise<number>;
}

/** A call that cannot be right: exit code 2, with the usage. */
export class UsageError extends Error {}
