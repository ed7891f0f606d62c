/**
 * What a command is: a usage line, a table of flags, an example, and a function. Each file of this folder that is named
 * like a command exports one; `commands.ts` lists them.
 */
import { exitCodes, usageError, type ExitCode } from './exit-codes.ts';
import { describeFlags, parseFlags, type FlagTable, type FlagValues, type Given } from './flags.ts';
import type { Io } from './io.ts';

export interface Call<Table extends FlagTable> {
  readonly io: Io;
  readonly flags: FlagValues<Table>;
  /** The flags as they were typed, for whoever reads them by a table of its own. */
  readonly given: Given;
  readonly positionals: readonly string[];
}

export interface CommandDescription<Table extends FlagTable> {
  /** After `tideway `: `append CHANNEL [DATA|-]`. */
  readonly usage: string;
  /** What the summary does not say. */
  readonly about?: string;
  readonly flags: Table;
  readonly examples: readonly string[];
  /** How many positional arguments it takes. */
  readonly arguments: readonly [min: number, max: number];
  run(call: Call<Table>): Promise<ExitCode>;
}

/** A command whose flags are its own business. */
export interface Command {
  readonly usage: string;
  readonly about?: string;
  readonly flags: FlagTable;
  readonly examples: readonly string[];
  run(argv: readonly string[], io: Io): Promise<ExitCode>;
}

/** Ties a command's function to its flags. */
export function defineCommand<const Table extends FlagTable>(description: CommandDescription<Table>): Command {
  const { usage, flags, examples, about } = description;
  const command: Command = {
    usage,
    flags,
    examples,
    ...(about !== undefined && { about }),
    async run(argv, io) {
      const parsed = parseFlags(flags, argv, io.environment);
      if (parsed.isHelp) {
        io.stdout.write(`${describeCommand(command)}\n`);
        return exitCodes.ok;
      }
      const [min, max] = description.arguments;
      const { length } = parsed.positionals;
      if (length < min) throw usageError(`something is missing: tideway ${usage}`);
      if (length > max) throw usageError(`"${parsed.positionals[max]}" is one argument too many: tideway ${usage}`);
      return description.run({ ...parsed, io });
    },
  };
  return command;
}

/** The text of `tideway NAME --help`. */
function describeCommand(command: Command): string {
  const parts = [`Usage: tideway ${command.usage}`];
  if (command.about !== undefined) parts.push(command.about);
  parts.push(`Flags:\n${describeFlags(command.flags)}`);
  parts.push(
    `${command.examples.length === 1 ? 'Example' : 'Examples'}:\n${command.examples.map((line) => `  ${line}`).join('\n')}`,
  );
  return parts.join('\n\n');
}
