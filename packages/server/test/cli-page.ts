/**
 * docs/reference/cli.md, made from the tables of the commands. Run as a program it writes the page; `cliPage` says what
 * it should be.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from '../src/cli/command.ts';
import { commands } from '../src/cli/commands.ts';
import { exitCodeMeanings, exitCodes } from '../src/cli/exit-codes.ts';
import { describeFlag, valueOf } from '../src/cli/flags.ts';
import { flagName, settingKeys } from '../src/ops/config-schema.ts';

export const CLI_PAGE = 'docs/reference/cli.md';

const SETTING_FLAGS = new Set(settingKeys.map((key) => flagName(key)));

const variables = [
  ['TIDEWAY_URL', 'The server, where `--url` does not say.'],
  ['TIDEWAY_TOKEN', 'A JWT or an API key for the commands that talk to a server.'],
  ['TIDEWAY_SECRET', 'The secret or private key that `tideway token` signs with.'],
  ['TIDEWAY_CONFIG', 'The configuration file, where `--config` does not say.'],
  [
    'TIDEWAY_FAULT_CLOCK_FILE',
    'With `--faults`: a file with the number of milliseconds by which the server’s clock is off. For tests.',
  ],
  ['NO_COLOR', 'No colours on a terminal.'],
] as const;

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => '---'), ...rows]
    .map((cells) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`)
    .join('\n');
}

async function section(name: string, summary: string, command: Command): Promise<string> {
  const flags = Object.entries(command.flags);
  const settings = flags.filter(([flag]) => SETTING_FLAGS.has(flag));
  const own = flags.filter(([flag]) => !SETTING_FLAGS.has(flag));
  const rows = own.map(([flag, value]) => [`\`--${flag}${valueOf(value)}\``, describeFlag(value)]);
  const all = settings.length > 5;
  const shown = all
    ? rows
    : [...settings.map(([flag, value]) => [`\`--${flag}${valueOf(value)}\``, describeFlag(value)]), ...rows];
  return [
    `## tideway ${name}`,
    summary,
    `    tideway ${command.usage}`,
    ...(command.about === undefined ? [] : [command.about.replaceAll('\n', ' ')]),
    ...(shown.length === 0 ? [] : [table(['flag', 'meaning'], shown)]),
    ...(all ? ['And a flag for each setting of [Configuration](config.md) that may be one.'] : []),
    command.examples.map((line) => `    ${line}`).join('\n'),
  ].join('\n\n');
}

export async function cliPage(): Promise<string> {
  const sections: string[] = [];
  for (const { name, summary, load } of commands) sections.push(await section(name, summary, await load()));
  const parts = [
    '# Command line',
    '`npx tideway COMMAND`, or `npm run -s tideway -- COMMAND` in a clone. `tideway --help` lists the commands, `tideway COMMAND --help` its flags.',
    'Data goes to stdout, talk to stderr, so that pipes just work. `--json` prints one JSON object a line. Times are written `500ms`, `30s`, `10m`, `24h`; sizes `4KiB`, `1MiB`. Secrets come from the environment or from stdin, never from a flag, which everyone on a machine can read.',
    table(
      ['exit code', 'meaning'],
      Object.entries(exitCodes).map(([name, code]) => [`${code}`, exitCodeMeanings[name as keyof typeof exitCodes]]),
    ),
    table(
      ['variable', 'meaning'],
      variables.map(([name, meaning]) => [`\`${name}\``, meaning]),
    ),
    ...sections,
    'This page is made from `packages/server/src/cli/` by `node --conditions=tideway-source packages/server/test/cli-page.ts`.',
  ];
  return `${parts.join('\n\n')}\n`;
}

if (import.meta.main) {
  writeFileSync(join(import.meta.dirname, '../../..', CLI_PAGE), await cliPage());
  console.log(CLI_PAGE);
}
