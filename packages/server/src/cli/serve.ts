/** `tideway serve`: a server as its configuration says. */
import { version } from '../version.ts';
import { defineCommand } from './command.ts';
import { usageError } from './exit-codes.ts';
import { jsonFlag } from './flags.ts';
import { say } from './io.ts';
import { configFlag, loadServerConfig, settingFlags } from './server-config.ts';
import { runServer } from './server-process.ts';

export const command = defineCommand({
  usage: 'serve',
  about:
    'What no namespace of the configuration allows is denied. Of default, tideway.config.ts, environment and flag the last wins;\n`tideway config print` shows each value with where it comes from.',
  flags: {
    ...settingFlags(['development']),
    config: configFlag,
    json: { ...jsonFlag, meaning: 'Prints {"event":"ready","url":…} on stdout when it is ready.' },
  },
  examples: ['tideway serve --host 0.0.0.0 --data /var/lib/tideway'],
  arguments: [0, 0],
  async run({ io, flags, given }) {
    const { options, origins, file } = await loadServerConfig(io, given);
    if (options.development === true) {
      const origin = origins.get('development');
      throw usageError(
        `serve does not let anyone do anything; development is set by ${origin === 'file' ? file : origin}`,
        'tideway dev',
      );
    }
    return runServer({
      io,
      options,
      isJson: flags.json,
      greet({ url, readyMs }) {
        say(io, `tideway ${version} serves on ${url} (ready in ${readyMs} ms)`);
        if (Object.keys(options.namespaces ?? {}).length > 0) return;
        const where = file ?? 'tideway.config.ts';
        say(io, `warning: there are no namespaces, so every channel is refused; say in ${where} who may do what:`);
        say(io, `         export default { namespaces: { chat: { subscribe: 'user', append: 'user' } } };`);
      },
    });
  },
});
