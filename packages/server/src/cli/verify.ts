/** `tideway verify`: reads a channel's whole history and proves that nothing in it is missing, doubled or out of order. */
import { parseCursor } from '@tideway/protocol';
import { channelArgument } from './channel-argument.ts';
import { defineCommand } from './command.ts';
import { compareHistories, type Comparison } from './compare-histories.ts';
import { exitCodes, usageError } from './exit-codes.ts';
import { jsonFlag } from './flags.ts';
import { type HistoryPart, readPages } from './history-pages.ts';
import { type Io, paint, print, printJson } from './io.ts';
import { describeProof, ReadingProof } from './reading-proof.ts';
import { reachServer, timeoutFlag, urlFlag } from './server-access.ts';

export const command = defineCommand({
  usage: 'verify CHANNEL',
  about:
    'Each record names the one before it; one that is missing breaks the chain. Prints the number of records and a hash over all\nof them in order, which is the same for every reader and node. Exit code 5 and the first break where there is one.',
  flags: {
    from: { kind: 'text', value: 'PLACE', default: 'oldest', meaning: 'Where to begin: oldest, or behind a cursor.' },
    against: {
      kind: 'text',
      value: 'URL',
      meaning: 'Another node of the same log; both must hold the same records where both have any.',
    },
    url: urlFlag,
    timeout: timeoutFlag,
    json: jsonFlag,
  },
  examples: ['tideway verify chat:42', 'tideway verify chat:42 --against http://other-node:7400'],
  arguments: [1, 1],
  async run({ io, flags, positionals }) {
    const channel = channelArgument(positionals[0] as string);
    const { from, against, timeout } = flags;
    if (from !== 'oldest' && parseCursor(from) === undefined)
      throw usageError(`--from: "${from}" is no place; oldest or a cursor is`);
    const access = await reachServer(io, flags);
    const other = against === undefined ? undefined : await reachServer(io, { url: against, timeout });
    const here = new ProvenHistory(channel, from, readPages(access, channel, from, timeout));
    if (other === undefined) {
      for await (const record of here.records()) void record;
      return (await tell(io, here.proof, flags.json)) ? exitCodes.ok : exitCodes.checkFailed;
    }
    const there = new ProvenHistory(channel, from, readPages(other, channel, from, timeout));
    const comparison = await compareHistories(here.records(), there.records());
    const areProven = [
      await tell(io, here.proof, flags.json, access.url),
      await tell(io, there.proof, flags.json, other.url),
    ];
    await tellComparison(io, comparison, flags.json, [access.url, other.url]);
    return areProven.every(Boolean) && comparison.ok ? exitCodes.ok : exitCodes.checkFailed;
  },
});

/** A history that is proven while it is read. */
class ProvenHistory {
  readonly proof: ReadingProof;
  readonly #channel: string;
  readonly #from: string;
  readonly #parts: AsyncIterable<HistoryPart>;

  constructor(channel: string, from: string, parts: AsyncIterable<HistoryPart>) {
    this.proof = new ReadingProof([channel]);
    this.#channel = channel;
    this.#from = from;
    this.#parts = parts;
  }

  async *records() {
    // What is asked for by a cursor must follow that very place; the oldest record may have lost those before it.
    if (this.#from !== 'oldest') this.proof.begin(this.#channel, this.#from);
    for await (const { records, gap } of this.#parts) {
      if (gap !== undefined) this.proof.gap(this.#channel, gap);
      for (const record of records) {
        this.proof.record(record);
        yield record;
      }
    }
  }
}

async function tell(io: Io, proof: ReadingProof, isJson: boolean, url?: string): Promise<boolean> {
  const [verdict] = proof.verdicts();
  if (verdict === undefined) return true;
  if (isJson) await printJson(io, { type: 'verdict', ...(url !== undefined && { url }), ...verdict });
  else await print(io, `${describeProof(io, verdict, 'stdout')}${url === undefined ? '' : `  (${url})`}`);
  return verdict.ok;
}

async function tellComparison(
  io: Io,
  comparison: Comparison,
  isJson: boolean,
  urls: readonly [string, string],
): Promise<void> {
  if (isJson) return printJson(io, { type: 'comparison', ...comparison });
  if (comparison.ok) {
    const count = comparison.same.toLocaleString('en-US');
    return print(io, `${paint(io, 'stdout', 'green', '✓')} both hold the same ${count} records`);
  }
  const { same, difference } = comparison;
  const [here, there] = urls;
  const text = difference.replace('HERE', here).replace('THERE', there);
  await print(
    io,
    `${paint(io, 'stdout', 'red', '✗')} after ${same.toLocaleString('en-US')} records that agree, ${text}`,
  );
}
