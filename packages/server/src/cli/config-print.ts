/** `tideway config print`: every setting with its value and where it comes from; secrets are not shown. */
import { resolveConfig } from '../ops/config.ts';
import { describeConfig } from '../ops/config-sources.ts';
import { defineCommand } from './command.ts';
import { exitCodes } from './exit-codes.ts';
import { jsonFlag } from './flags.ts';
import { paint, print, printJson } from './io.ts';
import { configFlag, loadServerConfig, settingFlags } from './server-config.ts';

/** Longer values push the origin to the right. */
const VALUE_WIDTH = 32;

export const command = defineCommand({
  usage: 'config print',
  about:
    'What `tideway serve` would start with, and for each value whether it is a default, of the file, of a variable or of a flag.',
  flags: { ...settingFlags(), config: configFlag, json: jsonFlag },
  examples: ['tideway config print', 'tideway config print --json | jq -c "select(.origin != \\"default\\")"'],
  arguments: [0, 0],
  async run({ io, flags, given }) {
    const loaded = await loadServerConfig(io, given);
    resolveConfig(loaded.options);
    const lines = describeConfig(loaded).map((line) => ({
      ...line,
      origin: line.origin === 'file' ? (loaded.file ?? line.origin) : line.origin,
    }));
    const keyWidth = Math.max(...lines.map(({ key }) => key.length));
    for (const line of lines) {
      if (flags.json) await printJson(io, line);
      else {
        const origin = line.origin === 'default' ? paint(io, 'stdout', 'gray', 'default') : line.origin;
        await print(io, `${line.key.padEnd(keyWidth)}  ${line.value.padEnd(VALUE_WIDTH)}  ${origin}`);
      }
    }
    return exitCodes.ok;
  },
});
