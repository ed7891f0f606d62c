/** `tideway doctor`: looks for what makes a server slow, lossy or unreachable, before somebody else finds it. */
import { resolveConfig } from '../ops/config.ts';
import { channelArgument } from './channel-argument.ts';
import { defineCommand } from './command.ts';
import { examineDisk } from './doctor-disk.ts';
import { examineMachine } from './doctor-machine.ts';
import { examineServer } from './doctor-server.ts';
import { exitCodes } from './exit-codes.ts';
import { printFinding, type Finding } from './finding.ts';
import { jsonFlag } from './flags.ts';
import { reachServer, timeoutFlag } from './server-access.ts';
import { configFlag, loadServerConfig, settingFlags } from './server-config.ts';

export const command = defineCommand({
  usage: 'doctor [--url URL]',
  about:
    'Without --url it looks at this machine, as a server with this configuration would find it; with --url at a running server from\noutside, through the proxy in front of it. Exit code 5 where something is bad; what is only worth knowing is marked with "!".',
  flags: {
    ...pick(settingFlags(), ['data', 'tls-cert', 'tls-key', 'limits-log-bytes']),
    url: { kind: 'text', value: 'URL', meaning: 'Looks at this server, as a client finds it.' },
    channel: { kind: 'text', default: '$system:vitals', meaning: 'The channel for checks of streams.' },
    origin: { kind: 'text', form: 'origin', meaning: 'Asks whether pages of this origin are let in.' },
    idle: {
      kind: 'duration',
      min: 100,
      max: 3_600_000,
      meaning: 'Leaves connections idle for so long and sees who cuts them.',
    },
    timeout: timeoutFlag,
    config: configFlag,
    json: jsonFlag,
  },
  examples: [
    'tideway doctor --data /var/lib/tideway',
    'tideway doctor --url https://live.example.com --origin https://example.com --idle 70s',
  ],
  arguments: [0, 0],
  async run({ io, flags, given }) {
    const { url, origin, idle, timeout } = flags;
    let isBad = false;
    async function tell(findings: AsyncIterable<Finding>): Promise<void> {
      for await (const finding of findings) {
        isBad ||= finding.state === 'bad';
        await printFinding(io, finding, flags.json);
      }
    }
    if (url === undefined) {
      const { tls, data, limits } = resolveConfig((await loadServerConfig(io, given)).options);
      await tell(examineMachine(tls));
      if (data !== undefined) await tell(examineDisk(data, limits.logBytes));
    } else {
      const channel = channelArgument(flags.channel);
      const access = await reachServer(io, { url, timeout });
      await tell(examineServer({ access, channel, origin, idleMs: idle, timeoutMs: timeout }));
    }
    return isBad ? exitCodes.checkFailed : exitCodes.ok;
  },
});

function pick<Value>(table: Readonly<Record<string, Value>>, names: readonly string[]): Record<string, Value> {
  return Object.fromEntries(Object.entries(table).filter(([name]) => names.includes(name)));
}
