/** `tideway tail`: follows channels, through whatever happens to the connection. */
import { parseCursor } from '@tideway/protocol';
import { channelArgument, placeArgument } from './channel-argument.ts';
import { defineCommand } from './command.ts';
import { exitCodes, usageError } from './exit-codes.ts';
import { jsonFlag } from './flags.ts';
import { type Io, printJson, say } from './io.ts';
import { PlaceFile } from './place-file.ts';
import { describeProof, ReadingProof } from './reading-proof.ts';
import { reachServer, timeoutFlag, transportFlag, urlFlag } from './server-access.ts';
import { endOnSignal } from './signals.ts';
import { jsonLines, textLines } from './tail-lines.ts';
import { TailReading } from './tail-reading.ts';

export const command = defineCommand({
  usage: 'tail CHANNEL…',
  about:
    'Prints records as they come, after those behind --from. Reconnects by itself and says so; what is missing is said as a gap.\nWhere no server answers at the start it ends with exit code 4.',
  flags: {
    from: {
      kind: 'text',
      value: 'PLACE',
      default: 'now',
      meaning: 'Where to begin: now, oldest, last:N, or behind a cursor.',
    },
    'until-live': { kind: 'switch', default: false, meaning: 'Ends when all that was there is printed.' },
    count: { kind: 'count', min: 1, max: 1_000_000_000, meaning: 'Ends after so many records.' },
    for: { kind: 'duration', min: 1, max: 31_536_000_000, meaning: 'Ends after this time, such as 30s.' },
    state: {
      kind: 'text',
      value: 'FILE',
      meaning:
        'Keeps the places there and goes on from them; after a kill the last records may come again, none is missed.',
    },
    verify: {
      kind: 'switch',
      default: false,
      meaning:
        'Checks that nothing is missing, twice or out of order, and prints count and order hash; else exit code 5.',
    },
    transport: transportFlag,
    url: urlFlag,
    timeout: timeoutFlag,
    json: jsonFlag,
  },
  examples: [
    'tideway tail chat:42 --from last:50',
    'tideway tail chat:42 --from oldest --until-live --verify',
    'tideway tail orders:eu --state places.json --json | jq -c .data',
  ],
  arguments: [1, 100],
  async run({ io, flags, positionals }) {
    const channels = [...new Set(positionals.map(channelArgument))];
    const from = placeArgument('--from', flags.from);
    if (channels.length > 1 && parseCursor(from) !== undefined)
      throw usageError(`--from: a cursor belongs to one channel, and ${channels.length} were given`);
    const places = flags.state === undefined ? undefined : new PlaceFile(flags.state);
    const proof = flags.verify ? new ReadingProof(channels) : undefined;
    const fromOf = (channel: string): string => places?.of(channel) ?? from;
    const access = await reachServer(io, flags);
    const signal = endOnSignal();
    const lines = flags.json ? jsonLines(io) : textLines(io, channels.length > 1);
    const isResumed = channels.some((channel) => places?.of(channel) !== undefined);
    await lines.notice({ type: 'following', channels, from: isResumed ? 'their places' : from, url: access.url });
    for (const channel of channels)
      if (parseCursor(fromOf(channel)) !== undefined) proof?.begin(channel, fromOf(channel));

    const { count } = flags;
    const ends = flags.for === undefined ? signal : AbortSignal.any([signal, AbortSignal.timeout(flags.for)]);
    const client = access.client(flags.transport);
    try {
      const reading = new TailReading({
        ...{ client, channels, fromOf, lines, proof, places, count },
        isEndedByLive: flags['until-live'],
        signal: ends,
      });
      const end = await reading.run();
      if (end === 'closed' && !flags.json) say(io, '— closed: nothing more will come —');
    } finally {
      client.close();
      places?.flush();
    }
    const isProven = proof === undefined || (await tellProof(io, proof, flags.json));
    if (!isProven) return exitCodes.checkFailed;
    return signal.aborted ? exitCodes.interrupted : exitCodes.ok;
  },
});

async function tellProof(io: Io, proof: ReadingProof, isJson: boolean): Promise<boolean> {
  const verdicts = proof.verdicts();
  for (const verdict of verdicts) {
    if (isJson) await printJson(io, { type: 'verdict', ...verdict });
    else say(io, describeProof(io, verdict, 'stderr'));
  }
  return verdicts.every(({ ok }) => ok);
}
