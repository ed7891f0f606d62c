/** `tideway bench`: a small load against a server, measured honestly. The comparisons with others are in bench/. */
import { randomBytes } from 'node:crypto';
import { LoadRun, type Load, type LoadResult } from './bench-load.ts';
import type { Percentiles } from './bench-watch.ts';
import { channelArgument } from './channel-argument.ts';
import { defineCommand } from './command.ts';
import { exitCodes, usageError } from './exit-codes.ts';
import { jsonFlag } from './flags.ts';
import { type Io, paint, print, printJson, say } from './io.ts';
import { reachServer, timeoutFlag, urlFlag } from './server-access.ts';
import { endOnSignal } from './signals.ts';

/** Beyond it the event loop of the generator is the bottleneck. */
const BUSY_MAX = 0.9;
const PROFILES = {
  fanout: { subscribers: 100, writers: 1, rate: 50 },
  append: { subscribers: 1, writers: 10, rate: 1_000 },
} as const;

export const command = defineCommand({
  usage: 'bench',
  about:
    'Writers append by the clock, whatever the server does, and latency counts from the moment a record was due; every record is counted at\nevery subscriber. All of it is one process: where that is the bottleneck it says so. Exit code 5 where a record is lost, doubled or\nout of order, or the target is missed.',
  flags: {
    profile: {
      kind: 'choice',
      choices: ['fanout', 'append'],
      default: 'fanout',
      meaning: 'fanout: 100 subscribers, 50 records a second; append: 10 writers, 1,000 a second.',
    },
    subscribers: { kind: 'count', min: 1, max: 20_000, meaning: 'How many follow the channel.' },
    writers: { kind: 'count', min: 1, max: 1_000, meaning: 'How many append to it.' },
    rate: { kind: 'count', min: 1, max: 1_000_000, meaning: 'Records a second, all writers together.' },
    size: { kind: 'bytes', default: 128, min: 64, max: 262_144, meaning: 'The bytes of a record.' },
    for: { kind: 'duration', default: 10_000, min: 100, max: 3_600_000, meaning: 'How long it measures.' },
    warmup: { kind: 'duration', default: 2_000, min: 0, max: 600_000, meaning: 'How long it runs before that.' },
    target: {
      kind: 'text',
      value: 'p99<20ms',
      meaning: 'A bound to hold: of deliveries (fanout) or acknowledgements (append).',
    },
    channel: { kind: 'text', meaning: 'The channel. Default: a new one in the namespace bench.' },
    url: urlFlag,
    timeout: timeoutFlag,
    json: jsonFlag,
  },
  examples: [
    'tideway bench --subscribers 1000 --rate 20',
    "tideway bench --profile append --rate 5000 --target 'p99<10ms'",
  ],
  arguments: [0, 0],
  async run({ io, flags }) {
    const { profile, subscribers, writers, rate, size, warmup, timeout } = flags;
    const target = flags.target === undefined ? undefined : readTarget(flags.target);
    const channel = channelArgument(flags.channel ?? `bench:${randomBytes(6).toString('hex')}`);
    const preset = PROFILES[profile];
    const load: Load = {
      subscribers: subscribers ?? preset.subscribers,
      writers: writers ?? preset.writers,
      rate: rate ?? preset.rate,
      ...{ bytes: size, warmupMs: warmup, forMs: flags.for },
    };
    const access = await reachServer(io, flags);
    const signal = endOnSignal();
    if (!flags.json) say(io, `${describeLoad(load)} on ${channel} at ${access.url}`);
    const result = await new LoadRun({ access, channel, load, timeoutMs: timeout, signal }).run();
    if (signal.aborted) return exitCodes.interrupted;
    const latency = profile === 'fanout' ? result.deliveryMs : result.acknowledgementMs;
    const isTargetHeld = target === undefined || (latency !== undefined && latency[target.percentile] < target.ms);
    const isComplete = result.lost + result.missed + result.twice + result.outOfOrder + result.failed === 0;
    if (flags.json) await printJson(io, { profile, channel, ...load, ...result, isComplete, isTargetHeld });
    else {
      await tell(io, result);
      if (target !== undefined)
        await print(io, mark(io, isTargetHeld, `${flags.target} is ${isTargetHeld ? 'held' : 'missed'}`));
    }
    return isComplete && isTargetHeld ? exitCodes.ok : exitCodes.checkFailed;
  },
});

function readTarget(text: string): { readonly percentile: keyof Percentiles; readonly ms: number } {
  const [, percentile, amount, unit] = /^(p50|p90|p99|p99\.9|max)<(\d+(?:\.\d+)?)(ms|s)$/.exec(text) ?? [];
  if (percentile === undefined) {
    throw usageError(
      `--target: "${text}" is not allowed; p50, p90, p99, p99.9 or max, < and a time are, such as p99<20ms`,
    );
  }
  // The pattern has just these.
  return { percentile: percentile as keyof Percentiles, ms: Number(amount) * (unit === 's' ? 1_000 : 1) };
}

function describeLoad({ subscribers, writers, rate, bytes, warmupMs, forMs }: Load): string {
  const shape = `${writers.toLocaleString('en-US')} → ${subscribers.toLocaleString('en-US')}`;
  return `${shape} · ${bytes} B · ${rate.toLocaleString('en-US')}/s · ${forMs / 1_000} s after ${warmupMs / 1_000} s`;
}

async function tell(io: Io, result: LoadResult): Promise<void> {
  const { stored, failed, delivered, lost, missed, twice, outOfOrder, generatorBusy, server } = result;
  const count = (value: number): string => value.toLocaleString('en-US');
  await print(io, mark(io, failed === 0, `${count(stored)} stored (${count(failed)} refused or without an answer)`));
  const faults = `lost ${count(lost)} · missed by a gap ${count(missed)} · twice ${count(twice)} · out of order ${count(outOfOrder)}`;
  await print(io, mark(io, lost + missed + twice + outOfOrder === 0, `${count(delivered)} delivered (${faults})`));
  await print(io, `  acknowledged after ${describePercentiles(result.acknowledgementMs)}`);
  await print(io, `  delivered after    ${describePercentiles(result.deliveryMs)}`);
  if (server !== undefined)
    await print(
      io,
      `  server             ${server.cpuPercent.toFixed(0)} % cpu · ${(server.rssBytes / 1e6).toFixed(0)} MB`,
    );
  await print(io, `  this generator     ${(generatorBusy * 100).toFixed(0)} % busy`);
  if (generatorBusy > BUSY_MAX)
    say(io, `warning: the generator itself was the bottleneck; what was measured is the generator, not the server`);
}

function describePercentiles(percentiles: Percentiles | undefined): string {
  if (percentiles === undefined) return '(nothing measured)';
  const list = Object.entries(percentiles).map(([name, ms]: [string, number]) => `${name} ${ms.toFixed(1)}`);
  return `${list.join(' · ')} ms`;
}

function mark(io: Io, isGood: boolean, text: string): string {
  return `${isGood ? paint(io, 'stdout', 'green', '✓') : paint(io, 'stdout', 'red', '✗')} ${text}`;
}
