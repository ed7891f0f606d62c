/** `tideway dev`: a server on which anyone may do anything, for this machine only. */
import { flagOptions, mergeConfig } from '../ops/config-sources.ts';
import { isLoopback } from '../auth/origin.ts';
import { version } from '../version.ts';
import { UsageError, type Command } from './command.ts';
import { faultClock } from './fault-clock.ts';
import { settingHelp, settingFlags } from './setting-flags.ts';
import { serveUntilStopped } from './serve-process.ts';

export const dev: Command = {
  summary: 'a server for development: anyone may do anything on any channel',
  usage: 'dev [--port 7400] [--data DIR] [flags]',
  options: { ...flagOptions(), json: { type: 'boolean' } },
  help: { ...settingHelp(), json: 'Print one JSON line on stdout when ready.' },
  example: 'tideway dev --port 0 --data ./tideway-data --json',
  async run({ flags, io }) {
    const { json, ...rest } = flags;
    const { options } = mergeConfig({ environment: io.environment, flags: settingFlags(rest) });
    const host = options.host ?? '127.0.0.1';
    if (!isLoopback(host)) {
      throw new UsageError(
        `dev lets anyone do anything and so listens on loopback only, not on ${host}; use "tideway serve" with namespaces`,
      );
    }
    return await serveUntilStopped(
      io,
      { ...options, ...faultClock(options, io.environment), development: true },
      {
        json: json === true,
        greeting: (_server, url, readyMs) =>
          [
            `\n  TIDEWAY v${version}  ready in ${readyMs} ms\n`,
            `  ➜ WebSocket  ${url.replace(/^http/, 'ws')}/v1/ws`,
            `  ➜ SSE, HTTP  ${url}/v1/events?channel=demo:hello`,
            `  ➜ Log        ${options.log ?? options.data ?? './tideway-data'}`,
            '  Development: anyone may do anything on any channel. Not for a network; "tideway serve" is.\n\n',
          ].join('\n'),
      },
    );
  },
};
