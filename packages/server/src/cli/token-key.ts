/** `tideway token key`: makes an API key for a back end. */
import { createKey } from '../auth/api-keys.ts';
import { defineCommand } from './command.ts';
import { exitCodes } from './exit-codes.ts';
import { jsonFlag } from './flags.ts';
import { print, printJson, say } from './io.ts';

export const command = defineCommand({
  usage: 'token key',
  about: 'The key goes to stdout, once: only its hash is kept, in the configuration, whose line goes to stderr.',
  flags: {
    name: { kind: 'text', default: 'backend', meaning: 'The name of the back end, as logs have it.' },
    json: jsonFlag,
  },
  examples: ['tideway token key --name billing'],
  arguments: [0, 0],
  async run({ io, flags }) {
    const { key, sha256 } = createKey();
    if (flags.json) await printJson(io, { key, name: flags.name, sha256 });
    else {
      await print(io, key);
      say(io, `auth.keys in tideway.config.ts: { name: ${JSON.stringify(flags.name)}, sha256: '${sha256}' }`);
    }
    return exitCodes.ok;
  },
});
