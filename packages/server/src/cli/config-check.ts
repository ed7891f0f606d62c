/** `tideway config check`: says all that is wrong with a configuration, before a server is started with it. */
import { createKeyRing } from '../auth/api-keys.ts';
import { loadTls } from '../auth/tls.ts';
import { resolveConfig } from '../ops/config.ts';
import { defineCommand } from './command.ts';
import { exitCodes, usageError } from './exit-codes.ts';
import { jsonFlag } from './flags.ts';
import { paint, print, printJson } from './io.ts';
import { configFlag, loadServerConfig, settingFlags } from './server-config.ts';

export const command = defineCommand({
  usage: 'config check',
  about:
    'Reads file, environment and flags as `tideway serve` does, and the certificate they name. Exit code 2 where it is wrong.',
  flags: { ...settingFlags(), config: configFlag, json: jsonFlag },
  examples: ['tideway config check --config tideway.config.ts'],
  arguments: [0, 0],
  async run({ io, flags, given }) {
    const { options, file } = await loadServerConfig(io, given);
    const config = resolveConfig(options);
    try {
      createKeyRing(config.auth.keys ?? []);
      if (config.tls !== undefined) await loadTls(config.tls);
    } catch (error) {
      throw usageError((error as Error).message);
    }
    const namespaces = Object.keys(config.namespaces).filter((name) => !name.startsWith('$'));
    if (flags.json) await printJson(io, { ok: true, file, namespaces });
    else {
      const where = file ?? 'no configuration file';
      const names = namespaces.length === 0 ? 'none, so every channel is refused' : namespaces.join(', ');
      await print(io, `${paint(io, 'stdout', 'green', '✓')} ${where} is right; namespaces: ${names}`);
    }
    return exitCodes.ok;
  },
});
