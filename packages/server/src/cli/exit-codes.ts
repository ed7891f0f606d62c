/** How a command ends. Scripts rely on these numbers. */
import type { Code } from '@tideway/protocol';

export const exitCodes = {
  ok: 0,
  failed: 1,
  usage: 2,
  refused: 3,
  unreachable: 4,
  checkFailed: 5,
  interrupted: 130,
} as const;

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

export const exitCodeMeanings: Readonly<Record<keyof typeof exitCodes, string>> = {
  ok: 'Done.',
  failed: 'It did not work; the last line on stderr says why.',
  usage: 'The command line or the configuration is wrong; nothing was done.',
  refused: 'The server does not let these credentials do that.',
  unreachable: 'No server answers there.',
  checkFailed: 'A check found something: `verify`, `tail --verify`, `doctor`, `log check`, `bench --target`.',
  interrupted: 'Ended by Ctrl-C.',
};

/** What ends a command in words for whoever typed it. */
export class CliError extends Error {
  readonly exitCode: ExitCode;
  /** What to try next, if anything. */
  readonly hint: string | undefined;

  constructor(exitCode: ExitCode, message: string, hint?: string) {
    super(message);
    this.name = 'CliError';
    this.exitCode = exitCode;
    this.hint = hint;
  }
}

export function usageError(message: string, hint?: string): CliError {
  return new CliError(exitCodes.usage, message, hint);
}

/** The exit code for an error of the protocol. */
export function exitCodeOf(code: Code): ExitCode {
  switch (code) {
    case 'unauthenticated':
    case 'forbidden':
    case 'token_expired':
    case 'user_changed':
    case 'disconnected':
      return exitCodes.refused;
    default:
      return exitCodes.failed;
  }
}
