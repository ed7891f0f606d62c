/** `tideway group`: who shares the work of a consumer group now, and how far behind they are. */
import type { RecordLine } from '@tideway/protocol';
import { decodeState, slotsOf, type GroupState } from '../service/group-state.ts';
import { channelArgument } from './channel-argument.ts';
import { defineCommand } from './command.ts';
import { CliError, exitCodes } from './exit-codes.ts';
import { jsonFlag } from './flags.ts';
import { print, printJson } from './io.ts';
import { reachServer, timeoutFlag, urlFlag, type ServerAccess } from './server-access.ts';

export const command = defineCommand({
  usage: 'group NAME [--channel CHANNEL]',
  about:
    'Reads the state of a group of consumers (tideway/service) and how many positions of the log lie in front of each member. It counts those\nof all channels, so it is never less than what the group has still to handle. The token needs what the group itself needs.',
  flags: {
    url: urlFlag,
    channel: { kind: 'text', value: 'CHANNEL', meaning: 'Where the group keeps its state, if that is not group:NAME.' },
    timeout: timeoutFlag,
    json: jsonFlag,
  },
  examples: ['tideway group stock', 'tideway group stock --json'],
  arguments: [1, 1],
  async run({ io, flags, positionals }) {
    const [name = ''] = positionals;
    const channel = channelArgument(flags.channel ?? `group:${name}`);
    const access = await reachServer(io, flags);
    const state = await readState(access, channel, flags.timeout);
    const standing = await findStanding(access, state, flags.timeout);
    if (flags.json) {
      await printJson(io, { group: name, channels: state.channels, ...standing });
      return exitCodes.ok;
    }
    const { members, free, lag } = standing;
    await print(io, `group ${name} reads ${state.channels.join(' ')}: ${members.length} members, ${lag} behind`);
    for (const member of members) await print(io, `${member.id}  ${member.slots.length} slots  ${member.lag} behind`);
    if (free.slots.length > 0) await print(io, `nobody  ${free.slots.length} slots  ${free.lag} behind`);
    return exitCodes.ok;
  },
});

interface Part {
  readonly slots: readonly number[];
  /** Positions of the log in front of its slots, of all partitions. */
  readonly lag: number;
}

interface Standing {
  readonly members: readonly (Part & { readonly id: string })[];
  /** What is nobody's. */
  readonly free: Part;
  readonly lag: number;
}

async function readState(access: ServerAccess, channel: string, timeoutMs: number): Promise<GroupState> {
  const query = new URLSearchParams({ channel, limit: '1' });
  const response = await access.request(`/v1/records?${query}`, { signal: AbortSignal.timeout(timeoutMs) });
  const { records } = (await response.json()) as { readonly records: readonly RecordLine[] };
  const newest = records.at(-1);
  if (newest === undefined)
    throw new CliError(exitCodes.failed, `there is no group in ${channel}: nobody has joined it`);
  return decodeState(newest.data);
}

/** Asks the server once for each place that some slot has. */
async function findStanding(access: ServerAccess, state: GroupState, timeoutMs: number): Promise<Standing> {
  const known = new Map<string, Promise<number>>();
  const lagAt = (partition: number, place: string): Promise<number> => {
    const at = `${partition} ${place}`;
    let lag = known.get(at);
    if (lag === undefined) known.set(at, (lag = askLag(access, state.channels, { partition, place }, timeoutMs)));
    return lag;
  };
  const partOf = async (slots: readonly number[]): Promise<Part> => {
    const furthest: number[] = [];
    for (const slot of slots) {
      for (const [partition, place] of (state.slots[slot]?.places ?? []).entries())
        furthest[partition] = Math.max(furthest[partition] ?? 0, await lagAt(partition, place));
    }
    return { slots, lag: furthest.reduce((sum, lag) => sum + lag, 0) };
  };
  const members: Standing['members'][number][] = [];
  for (const { id } of state.members) members.push({ id, ...(await partOf(slotsOf(state, id))) });
  const owned = new Set(members.flatMap(({ slots }) => slots));
  const all = [...state.slots.keys()];
  const free = await partOf(all.filter((slot) => !owned.has(slot)));
  return { members, free, lag: (await partOf(all)).lag };
}

/** How many positions lie behind a place (PROTOCOL.md FEED-1, `limit=0`). */
async function askLag(
  access: ServerAccess,
  channels: readonly string[],
  at: { readonly partition: number; readonly place: string },
  timeoutMs: number,
): Promise<number> {
  const query = new URLSearchParams([
    ...channels.map((channel) => ['channel', channel]),
    ['partition', String(at.partition)],
    ['after', at.place],
    ['limit', '0'],
  ]);
  const response = await access.request(`/v1/feed?${query}`, { signal: AbortSignal.timeout(timeoutMs) });
  return ((await response.json()) as { readonly lag: number }).lag;
}
