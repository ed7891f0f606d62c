/** `tideway dev`: a server for the machine it is written on. */
import { createDevCertificate } from '../auth/dev-certificate.ts';
import { isLoopback } from '../auth/origin.ts';
import type { TlsFiles } from '../auth/tls.ts';
import type { ServerOptions } from '../ops/config.ts';
import { shownLogAddress } from '../log/registry.ts';
import { settings } from '../ops/config-schema.ts';
import { makeConfiguredFolder } from '../server/configured-files.ts';
import { version } from '../version.ts';
import { defineCommand } from './command.ts';
import { usageError } from './exit-codes.ts';
import { jsonFlag } from './flags.ts';
import { type Io, paint, say } from './io.ts';
import { configFlag, loadServerConfig, settingFlags } from './server-config.ts';
import { runServer, type Started } from './server-process.ts';

/** Whoever presses Ctrl-C at a terminal waits for nobody. */
const DRAIN_MS = 500;

export const command = defineCommand({
  usage: 'dev',
  about:
    'Every channel exists, and anyone may do anything on it, so it listens on loopback only unless --host says otherwise.\n`tideway serve` is for everybody else.',
  flags: {
    ...settingFlags(['development']),
    tls: {
      kind: 'switch',
      default: false,
      meaning: 'Uses TLS with a certificate made for this machine, kept in the data folder.',
    },
    config: configFlag,
    json: { ...jsonFlag, meaning: 'Prints {"event":"ready","url":…} on stdout when it is ready.' },
  },
  examples: ['tideway dev', 'tideway dev --port 0 --data /tmp/try --json'],
  arguments: [0, 0],
  async run({ io, flags, given }) {
    const { options: merged, origins } = await loadServerConfig(io, given);
    refuseTheNetwork(merged.host, origins.get('host'));
    const options: ServerOptions = {
      ...merged,
      development: true,
      ...(origins.get('drainMs') === 'default' && { drainMs: DRAIN_MS }),
      ...(flags.tls && { tls: await certificateIn(merged.data ?? settings.data.default) }),
      namespaces: { $system: { subscribe: 'anyone', history: 'anyone', durable: false }, ...merged.namespaces },
    };
    return runServer({ io, options, isJson: flags.json, greet: (started) => greet(io, options, started) });
  },
});

async function certificateIn(folder: string): Promise<TlsFiles> {
  await makeConfiguredFolder('data', folder);
  return createDevCertificate(folder);
}

function refuseTheNetwork(host: string | undefined, origin: string | undefined): void {
  if (host === undefined || isLoopback(host) || origin === '--host') return;
  throw usageError(
    `dev lets anyone do anything, and ${origin === 'file' ? 'the configuration file' : origin} makes it listen on ${host}, where others can reach it; dev listens on loopback unless the command line itself says so`,
    `tideway serve, or tideway dev --host ${host}`,
  );
}

function greet(io: Io, options: ServerOptions, { url, readyMs }: Started): void {
  const arrow = paint(io, 'stderr', 'green', '➜');
  const line = (name: string, text: string): void => say(io, `  ${arrow}  ${name.padEnd(10)}${text}`);
  say(io, `\n  ${paint(io, 'stderr', 'bold', `TIDEWAY ${version}`)}  ready in ${readyMs} ms\n`);
  line('HTTP', url);
  line('WebSocket', `${url.replace(/^http/, 'ws')}/v1/ws`);
  line('Log', shownLogAddress(options.log ?? options.data ?? settings.data.default));
  say(
    io,
    `\n  ${paint(io, 'stderr', 'yellow', 'Anyone who reaches it may do anything on any channel.')} Ctrl-C stops it.\n`,
  );
}
