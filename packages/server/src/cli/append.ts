/** `tideway append`: puts records into a channel; done when each is durable. */
import { isRid } from '@tideway/protocol';
import { readAppends } from './append-source.ts';
import { AppendRun } from './append-run.ts';
import { channelArgument } from './channel-argument.ts';
import { defineCommand } from './command.ts';
import { exitCodes, usageError } from './exit-codes.ts';
import { jsonFlag } from './flags.ts';
import { say } from './io.ts';
import { reachServer, timeoutFlag, transportFlag, urlFlag } from './server-access.ts';
import { endOnSignal } from './signals.ts';

export const command = defineCommand({
  usage: 'append CHANNEL [DATA|-]',
  about:
    'DATA is JSON; "-" (or nothing, in a pipe) reads stdin, one record a line. Prints the cursor of each record once it is durable.\nA lost connection is waited for and no record is stored twice.',
  flags: {
    key: { kind: 'text', meaning: 'The key of the record: the newest of a key is the one that counts.' },
    id: { kind: 'text', value: 'RID', meaning: 'The id of the record; the same id again is the same record.' },
    text: { kind: 'switch', default: false, meaning: 'The data is text, not JSON.' },
    file: { kind: 'text', value: 'FILE', meaning: 'Reads this file instead of stdin, one record a line.' },
    records: {
      kind: 'switch',
      default: false,
      meaning: 'Lines are records as `tail --json` prints them; data, key and rid are taken, other lines are skipped.',
    },
    count: {
      kind: 'count',
      min: 1,
      max: 1_000_000_000,
      meaning: 'Appends DATA so many times; {{n}} in it counts from 1.',
    },
    rate: { kind: 'count', min: 1, max: 1_000_000, meaning: 'So many a second at most.' },
    transport: transportFlag,
    url: urlFlag,
    timeout: { ...timeoutFlag, default: 30_000, meaning: 'How long to wait for the server, and for the next answer.' },
    json: jsonFlag,
  },
  examples: [
    `tideway append chat:42 '{"text":"hi"}'`,
    'tideway append chat:42 --text hi',
    'tideway tail chat:42 --from oldest --until-live --json | tideway append copy:42 --records',
  ],
  arguments: [1, 2],
  async run({ io, flags, positionals }) {
    const channel = channelArgument(positionals[0] as string);
    const { id, count, rate, timeout } = flags;
    if (id !== undefined && !isRid(id)) throw usageError('--id: 1–64 printable ASCII characters are allowed');
    if (id !== undefined && (count ?? 1) > 1) throw usageError('--id is the id of one record; --count makes several');
    const appends = readAppends(io, positionals[1], flags);
    const access = await reachServer(io, flags);
    const signal = endOnSignal();
    const client = access.client(flags.transport);
    const run = new AppendRun({
      io,
      channel: client.channel(channel),
      client,
      rate,
      timeoutMs: timeout,
      isJson: flags.json,
    });
    try {
      await run.all(appends, signal);
    } finally {
      client.close();
      const summary = run.summary();
      if (summary !== undefined) say(io, summary);
    }
    return signal.aborted ? exitCodes.interrupted : exitCodes.ok;
  },
});
