/** Finds a command by its name, reads its flags, and turns what it throws into words and an exit code. */
import { parseArgs } from 'node:util';
import { codes, TidewayError } from '@tideway/protocol';
import { suggest } from '../ops/config-values.ts';
import { version } from '../version.ts';
import { exitCodes, UsageError, type Command, type Io } from './command.ts';

/** Every command, in the order of the help; loaded when asked for. */
export const commands: Readonly<Record<string, () => Promise<Command>>> = {
  dev: async () => (await import('./dev.ts')).dev,
  serve: async () => (await import('./serve.ts')).serve,
};

const GLOBAL = {
  help: { type: 'boolean', short: 'h' },
} as const;

export async function run(argv: readonly string[], io: Io): Promise<number> {
  const [name = '', ...rest] = argv;
  if (name === '--version' || name === '-v') {
    io.stdout.write(`${version}\n`);
    return exitCodes.ok;
  }
  if (name === '' || name === '--help' || name === '-h' || name === 'help') {
    (name === '' ? io.stderr : io.stdout).write(await overview());
    return name === '' ? exitCodes.usage : exitCodes.ok;
  }
  const load = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (load === undefined) {
    io.stderr.write(`tideway: unknown command "${name}"${suggest(name, Object.keys(commands))}\nSee: tideway --help\n`);
    return exitCodes.usage;
  }
  const command = await load();
  try {
    const { values, positionals } = parse(command, rest);
    if (values['help'] === true) {
      io.stdout.write(helpOf(name, command));
      return exitCodes.ok;
    }
    return await command.run({ flags: values, positionals, io });
  } catch (error) {
    return explain(error, name, io);
  }
}

function parse(command: Command, args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: { ...command.options, ...GLOBAL },
      allowPositionals: true,
      allowNegative: true,
    });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function explain(error: unknown, name: string, io: Io): number {
  if (error instanceof UsageError) {
    io.stderr.write(`tideway ${name}: ${error.message}\nSee: tideway ${name} --help\n`);
    return exitCodes.usage;
  }
  if (error instanceof Error && error.name === 'ConfigError') {
    io.stderr.write(`${error.message}\n`);
    return exitCodes.usage;
  }
  const message = error instanceof Error ? error.message : String(error);
  io.stderr.write(`tideway ${name}: ${message}\n`);
  if (error instanceof TidewayError) {
    const { http } = codes[error.code];
    if (http === 401 || http === 403) return exitCodes.refused;
  }
  return exitCodes.failed;
}

async function overview(): Promise<string> {
  const lines = await Promise.all(
    Object.entries(commands).map(async ([name, load]) => `  ${name.padEnd(10)} ${(await load()).summary}`),
  );
  return `tideway ${version}: channels that are durable, ordered logs, over WebSocket, SSE and HTTP\n\nUsage: tideway <command> [flags]\n\n${lines.join('\n')}\n\nEach command has its own --help. --version prints the version.\n`;
}

function helpOf(name: string, command: Command): string {
  const lines = Object.entries(command.help).map(([flag, help]) => {
    const { type } = command.options[flag] ?? { type: 'string' };
    return `  --${flag}${type === 'string' ? ' …' : ''}\n      ${help}`;
  });
  return `${command.summary}\n\nUsage: tideway ${command.usage}\n\n${lines.join('\n')}\n\nExample:\n  ${command.example}\n`;
}
