/**
 * From arguments to an exit code: finds the command, runs it, and says what went wrong in words with what to try next.
 */
import { TidewayError } from '@tideway/protocol';
import { ConfigError, suggest } from '../ops/config-values.ts';
import { version } from '../version.ts';
import { commands } from './commands.ts';
import { CliError, exitCodeOf, exitCodes, type ExitCode } from './exit-codes.ts';
import { paint, type Io, processIo, say } from './io.ts';

/** Runs a command line; resolves with how it ended. */
export async function run(argv: readonly string[], io: Io): Promise<ExitCode> {
  try {
    return await dispatch(argv, io);
  } catch (error) {
    return complain(io, error);
  }
}

/** Runs the command line of this process and ends it. */
export async function runProcess(argv: readonly string[]): Promise<void> {
  const io = processIo;
  io.stdout.on('error', (error: NodeJS.ErrnoException) => {
    // Whoever reads a pipe may leave before its end: `tideway tail … | head -1` is no failure.
    if (error.code === 'EPIPE') process.exit(exitCodes.ok);
    process.exit(complain(io, new CliError(exitCodes.failed, `stdout cannot be written: ${error.message}`)));
  });
  io.stderr.on('error', () => {});
  const exitCode = await run(argv, io);
  await Promise.all([flushed(io.stdout), flushed(io.stderr)]);
  process.exit(exitCode);
}

function flushed(stream: NodeJS.WritableStream): Promise<void> {
  return new Promise((resolve) => void stream.write('', () => resolve()));
}

async function dispatch(argv: readonly string[], io: Io): Promise<ExitCode> {
  const [first, ...rest] = argv;
  if (first === undefined || first === '--help' || first === '-h' || first === 'help') {
    if (first === 'help' && rest.length > 0) return dispatch([...rest, '--help'], io);
    io.stdout.write(`${describeProgram()}\n`);
    return first === undefined ? exitCodes.usage : exitCodes.ok;
  }
  if (first === '--version' || first === '-v' || first === 'version') {
    io.stdout.write(`${version}\n`);
    return exitCodes.ok;
  }
  // A command may be two words: `log check`.
  const entry =
    commands.find(({ name }) => name === `${first} ${rest[0] ?? ''}`) ?? commands.find(({ name }) => name === first);
  if (entry !== undefined) {
    const command = await entry.load();
    return command.run(entry.name.includes(' ') ? rest.slice(1) : rest, io);
  }
  const group = commands.filter(({ name }) => name.startsWith(`${first} `)).map(({ name }) => name);
  if (group.length > 0) {
    const asked = rest.find((word) => !word.startsWith('-'));
    const message = asked === undefined ? `${first} needs a word more` : `there is no command "${first} ${asked}"`;
    throw new CliError(exitCodes.usage, message, `there are: ${group.map((name) => `tideway ${name}`).join(', ')}`);
  }
  const names = commands.map(({ name }) => name);
  throw new CliError(exitCodes.usage, `there is no command "${first}"${suggest(first, names)}`, 'tideway --help');
}

function describeProgram(): string {
  const width = Math.max(...commands.map(({ name }) => name.length));
  const lines = commands.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`);
  return [
    `Tideway ${version}: channels that are durable, ordered logs, over WebSocket, SSE and HTTP.`,
    `Usage: tideway COMMAND [ARGUMENTS]`,
    `Commands:\n${lines.join('\n')}`,
    `tideway COMMAND --help shows its flags. Data goes to stdout, talk to stderr; --json gives one JSON object a line.\nSecrets come from the environment (TIDEWAY_TOKEN, TIDEWAY_SECRET) or from stdin, never from a flag.`,
    `Exit codes: 0 done, 1 failed, 2 usage, 3 refused, 4 unreachable, 5 a check failed, 130 interrupted.`,
  ].join('\n\n');
}

/** The last line is what to try next, where there is something. */
function complain(io: Io, error: unknown): ExitCode {
  const mark = paint(io, 'stderr', 'red', 'error:');
  if (error instanceof CliError) {
    say(io, `${mark} ${error.message}`);
    if (error.hint !== undefined) say(io, `try: ${error.hint}`);
    return error.exitCode;
  }
  if (error instanceof ConfigError) {
    for (const { message } of error.problems) say(io, `${mark} ${message}`);
    return exitCodes.usage;
  }
  if (error instanceof TidewayError) {
    say(io, `${mark} ${error.message} (${error.code})`);
    return exitCodeOf(error.code);
  }
  say(io, `${mark} ${error instanceof Error ? error.message : String(error)}`);
  return exitCodes.failed;
}
