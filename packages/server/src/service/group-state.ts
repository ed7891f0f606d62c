/**
 * The state of a group: its members, who owns which slot, and up to where each slot is done in each partition. All of it
 * is one record; nothing here reads a clock or talks to anybody.
 */
import { crc32, TidewayError } from '@tideway/protocol';

/** A channel belongs to one of so many slots, for ever: what members share is slots. */
export const SLOTS = 64;

/** Stands for the place where a feed begins. */
export const OLDEST = 'oldest';

export interface Member {
  readonly id: string;
  /** Counts up with each of its writes: whose stands still is gone. */
  readonly beat: number;
  /** Positions of the log in front of it, when it last wrote. */
  readonly lag: number;
}

export interface Slot {
  /** The member's id; `undefined` while it is free. */
  readonly owner: string | undefined;
  /** By partition: what lies at or before the place is done. */
  readonly places: readonly string[];
}

export interface GroupState {
  readonly channels: readonly string[];
  /** In the order of their ids. */
  readonly members: readonly Member[];
  readonly slots: readonly Slot[];
}

const encoder = new TextEncoder();

export function slotOf(channel: string): number {
  return crc32(encoder.encode(channel)) % SLOTS;
}

/** A group that begins: nobody is in it. */
export function firstState(channels: readonly string[], places: readonly string[]): GroupState {
  return { channels, members: [], slots: Array.from({ length: SLOTS }, () => ({ owner: undefined, places })) };
}

/** How many slots a member is to own: as many as each other one, the first ones by their ids one more. */
export function shareOf({ members }: GroupState, id: string): number {
  const at = members.findIndex((member) => member.id === id);
  return at < 0 ? 0 : Math.floor(SLOTS / members.length) + (at < SLOTS % members.length ? 1 : 0);
}

export function slotsOf({ slots }: GroupState, id: string): number[] {
  return slots.flatMap(({ owner }, slot) => (owner === id ? [slot] : []));
}

/** Slots that a member owns beyond its share. */
export function surplusOf(state: GroupState, id: string): number[] {
  return slotsOf(state, id).slice(shareOf(state, id));
}

/** Free slots that a member is to take. */
export function lackOf(state: GroupState, id: string): number[] {
  const free = state.slots.flatMap(({ owner }, slot) => (owner === undefined ? [slot] : []));
  return free.slice(0, Math.max(0, shareOf(state, id) - slotsOf(state, id).length));
}

/** The member has written again. */
export function withMember(state: GroupState, id: string, lag: number): GroupState {
  const before = state.members.find((member) => member.id === id);
  const others = state.members.filter((member) => member.id !== id);
  const member = { id, beat: (before?.beat ?? 0) + 1, lag };
  return { ...state, members: [...others, member].sort((a, b) => (a.id < b.id ? -1 : 1)) };
}

/** The members are gone, and what they owned is free. */
export function withoutMembers(state: GroupState, ids: readonly string[]): GroupState {
  if (ids.length === 0) return state;
  const members = state.members.filter(({ id }) => !ids.includes(id));
  const slots = state.slots.map((slot) =>
    slot.owner !== undefined && ids.includes(slot.owner) ? { ...slot, owner: undefined } : slot,
  );
  return { ...state, members, slots };
}

export function withSlots(state: GroupState, changed: ReadonlyMap<number, Partial<Slot>>): GroupState {
  return { ...state, slots: state.slots.map((slot, n) => ({ ...slot, ...changed.get(n) })) };
}

/** As it is stored: each vector of places once, members by their number. */
export function encodeState({ channels, members, slots }: GroupState): object {
  const vectors: string[] = [];
  const at = slots.map(({ places }) => {
    const vector = places.join(' ');
    const known = vectors.indexOf(vector);
    return known < 0 ? vectors.push(vector) - 1 : known;
  });
  const owners = slots.map(({ owner }) => members.findIndex(({ id }) => id === owner));
  return { version: 1, channels, members, owners, places: vectors.map((vector) => vector.split(' ')), at };
}

/** @throws TidewayError `invalid` where the record is none of a group */
export function decodeState(data: unknown): GroupState {
  try {
    const { version, channels, members, owners, places, at } = data as {
      version: number;
      channels: string[];
      members: Member[];
      owners: number[];
      places: string[][];
      at: number[];
    };
    if (
      version === 1 &&
      owners.length === SLOTS &&
      at.length === SLOTS &&
      places.every((vector) => vector.length > 0)
    ) {
      const slots = owners.map((owner, slot) => ({
        owner: members[owner]?.id,
        places: places[at[slot] as number] as string[],
      }));
      if (slots.every((slot) => Array.isArray(slot.places)) && Array.isArray(channels))
        return { channels, members, slots };
    }
  } catch {
    // Told below.
  }
  throw new TidewayError('invalid', 'the newest record of the group’s channel is no state of a group of version 1');
}
