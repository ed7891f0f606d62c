/** `tideway serve`: the server as configured; what no namespace allows is denied. */
import { access } from 'node:fs/promises';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { flagOptions, mergeConfig } from '../ops/config-sources.ts';
import type { ServerOptions } from '../ops/config.ts';
import { version } from '../version.ts';
import { UsageError, type Command } from './command.ts';
import { faultClock } from './fault-clock.ts';
import { settingHelp, settingFlags } from './setting-flags.ts';
import { serveUntilStopped } from './serve-process.ts';

const CONFIG_FILES = ['tideway.config.ts', 'tideway.config.js', 'tideway.config.mjs'];

export const serve: Command = {
  summary: 'the server, as its configuration says; what no namespace allows is denied',
  usage: 'serve [--config tideway.config.ts] [flags]',
  options: { ...flagOptions(), config: { type: 'string' }, json: { type: 'boolean' } },
  help: {
    ...settingHelp(),
    config: 'The configuration file. Default: tideway.config.ts or .js in this folder, if there is one.',
    json: 'Print one JSON line on stdout when ready.',
  },
  example: 'tideway serve --host 0.0.0.0 --tls-cert cert.pem --tls-key key.pem',
  async run({ flags, io }) {
    const { json, config, ...rest } = flags;
    const named = typeof config === 'string' ? config : io.environment['TIDEWAY_CONFIG'];
    const file = await loadConfigFile(named);
    const merged = mergeConfig({ file, environment: io.environment, flags: settingFlags(rest) });
    for (const warning of merged.warnings) io.stderr.write(`tideway serve: ${warning}\n`);
    const { options } = merged;
    return await serveUntilStopped(
      io,
      { ...options, ...faultClock(options, io.environment) },
      {
        json: json === true,
        greeting: (_server, url, readyMs) => `\n  TIDEWAY v${version}  ready in ${readyMs} ms\n  ➜ ${url}\n\n`,
      },
    );
  },
};

/** What a configuration file exports by default; `undefined` where none is named and none is there. */
export async function loadConfigFile(named: string | undefined): Promise<ServerOptions | undefined> {
  const candidates = named === undefined ? CONFIG_FILES : [named];
  for (const candidate of candidates) {
    const path = resolve(candidate);
    try {
      await access(path);
    } catch {
      continue;
    }
    const module = (await import(pathToFileURL(path).href)) as { readonly default?: ServerOptions };
    if (module.default === undefined)
      throw new UsageError(`${candidate} exports nothing by default; export the options of createServer`);
    return module.default;
  }
  if (named !== undefined) throw new UsageError(`there is no configuration file ${named}`);
  return undefined;
}
