/** `tideway config check`: says all that is wrong with a configuration, before a server is started with it. */
import { resolveConfig } from '../ops/config.ts';
import { readConfigured } from '../server/configured-files.ts';
import { defineCommand } from './command.ts';
import { exitCodes } from './exit-codes.ts';
import { jsonFlag } from './flags.ts';
import { paint, print, printJson } from './io.ts';
import { configFlag, loadServerConfig, settingFlags } from './server-config.ts';

export const command = defineCommand({
  usage: 'config check',
  about:
    'Reads file, environment and flags as `tideway serve` does, with the keys, the certificate and the folders they name, and changes nothing. Exit code 2 where it is wrong.',
  flags: { ...settingFlags(), config: configFlag, json: jsonFlag },
  examples: ['tideway config check --config tideway.config.ts'],
  arguments: [0, 0],
  async run({ io, flags, given }) {
    const { options, origins, file } = await loadServerConfig(io, given);
    const config = resolveConfig(options);
    await readConfigured(options, config, () => {});
    const namespaces = Object.keys(config.namespaces).filter((name) => !name.startsWith('$'));
    if (flags.json) await printJson(io, { ok: true, file, namespaces });
    else {
      const isAllDefault = [...origins.values()].every((origin) => origin === 'default');
      const others = isAllDefault ? 'the defaults are right' : 'variables and flags are right';
      const what = file === undefined ? `there is no configuration file, and ${others}` : `${file} is right`;
      const names = namespaces.length === 0 ? 'none, so every channel is refused' : namespaces.join(', ');
      await print(io, `${paint(io, 'stdout', 'green', '✓')} ${what}; namespaces: ${names}`);
    }
    return exitCodes.ok;
  },
});
