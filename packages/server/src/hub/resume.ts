/**
 * Where a subscription starts (PROTOCOL.md SUB-6, the six steps): from a `from` to a place, or to the reason why not.
 * Answers at once where memory knows; asks the view where it must.
 */
import {
  formatCursor,
  isUnknownTag,
  parseCursor,
  tagsMatch,
  timing,
  type CursorParts,
  type GapReason,
} from '@tideway/protocol';
import type { ChannelState, View } from '../view/view.ts';
import type { Ring } from './ring.ts';

export type Start =
  | {
      readonly ok: true;
      /** The client's place from now on. */
      readonly place: string;
      /** Where delivery begins: the place, or the floor above it where nothing visible lies between. */
      readonly deliverFrom: string;
      readonly resumed?: boolean;
      readonly reason?: GapReason;
    }
  | { readonly ok: false; readonly code: 'bad_cursor' | 'behind'; readonly message: string; readonly retryMs?: number };

const LAST = /^last:(\d{1,4})$/;
const LAST_MAX = 1_000;
const END_POSITION = 'Bzzzzzzzzzzz';

/** A `from` that is understood: symbolic, or a well-formed cursor. */
export type ParsedFrom =
  | { readonly kind: 'now' | 'oldest' }
  | { readonly kind: 'last'; readonly count: number }
  | { readonly kind: 'cursor'; readonly parts: CursorParts };

/** Reads a `from`; `undefined` when it is none (`bad_cursor`). */
export function parseFrom(from: string | undefined): ParsedFrom | undefined {
  if (from === undefined || from === 'now') return { kind: 'now' };
  if (from === 'oldest') return { kind: 'oldest' };
  const last = LAST.exec(from);
  if (last !== null) {
    const count = Number(last[1]);
    return count <= LAST_MAX ? (count === 0 ? { kind: 'now' } : { kind: 'last', count }) : undefined;
  }
  const parts = parseCursor(from);
  return parts === undefined ? undefined : { kind: 'cursor', parts };
}

/** Finds the place of a start. A promise only where the view has to be read or waited for. */
export function findStart(
  view: View,
  channel: string,
  from: string | undefined,
  ring: Ring | undefined,
): Start | Promise<Start> {
  const parsed = parseFrom(from);
  if (parsed === undefined) {
    return {
      ok: false,
      code: 'bad_cursor',
      message: '"from" must be a cursor, "now", "oldest" or "last:N" with N of 0 to 1000',
    };
  }
  const state = view.state(channel);
  switch (parsed.kind) {
    case 'now':
      return startAt(state.place);
    case 'oldest':
      return startAt(state.floor);
    case 'last':
      return lastPlace(view, channel, state, parsed.count, ring);
    case 'cursor':
      return resume(view, channel, from as string, parsed.parts, ring);
    default:
      return parsed satisfies never;
  }
}

/** Just before the N-th newest; the floor where there are fewer. */
function lastPlace(
  view: View,
  channel: string,
  state: ChannelState,
  count: number,
  ring: Ring | undefined,
): Start | Promise<Start> {
  if (state.head === undefined) return startAt(state.floor);
  const inRing = ring?.nthNewest(count);
  if (inRing !== undefined) return startAt(placeBefore(inRing.prev, state.floor));
  return view
    .read(channel, {
      before: formatCursor(state.epoch, END_POSITION, 'zzzz'),
      limit: count,
      bytes: Number.POSITIVE_INFINITY,
    })
    .then((page) => {
      const oldest = page.records[0];
      const { floor } = view.state(channel);
      return startAt(oldest === undefined || page.records.length < count ? floor : placeBefore(oldest.prev, floor));
    });
}

/** The place in front of a record: its `prev`, unless that lies below the floor. */
function placeBefore(prev: string, floor: string): string {
  return prev > floor ? prev : floor;
}

function resume(
  view: View,
  channel: string,
  cursor: string,
  at: CursorParts,
  ring: Ring | undefined,
): Start | Promise<Start> {
  const state = view.state(channel);
  if (at.epoch !== state.epoch) return notResumed(state, 'epoch');
  if (at.position > view.applied(channel)) return waitForLog(view, channel, cursor, at, ring);
  if (state.head !== undefined) {
    const head = parseCursor(state.head) as CursorParts;
    // The head's own place, or one behind it, misses nothing, also where the records themselves were trimmed.
    if (at.position >= head.position) {
      return tagsMatch(at.tag, head.tag) ? resumed(cursor, state.floor) : notResumed(state, 'diverged');
    }
  } else if (at.position > (parseCursor(state.floor) as CursorParts).position) {
    // The channel has no record. Whoever holds the tag of one saw it in a history that is not this one.
    return isUnknownTag(at.tag) ? resumed(cursor) : notResumed(state, 'diverged');
  }
  const floor = parseCursor(state.floor) as CursorParts;
  if (at.position < floor.position) return belowFloor(view, channel, cursor, at);
  if (at.position === floor.position)
    return tagsMatch(at.tag, floor.tag) ? resumed(cursor) : notResumed(state, 'diverged');
  const known = ring?.atOrBefore(at.position);
  if (known !== undefined) {
    const { tag } = parseCursor(known.cursor) as CursorParts;
    return tagsMatch(at.tag, tag) ? resumed(cursor) : notResumed(state, 'diverged');
  }
  return view.tagAt(channel, at.position).then((tag) => {
    if (tag === undefined || tagsMatch(at.tag, tag)) {
      // While the tag was read the floor may have passed the place.
      const now = view.state(channel);
      return now.floor > cursor && (parseCursor(now.floor) as CursorParts).position > at.position
        ? notResumed(now, 'trimmed')
        : resumed(cursor);
    }
    return notResumed(view.state(channel), 'diverged');
  });
}

/** The place lies below the floor: a gap only where something visible lay between (SUB-6, step 4; GAP-2). */
async function belowFloor(view: View, channel: string, cursor: string, at: CursorParts): Promise<Start> {
  const state = view.state(channel);
  const { records } = await view.read(channel, { after: state.floor, limit: 1, bytes: 1 });
  const before = records[0] === undefined ? undefined : parseCursor(records[0].prev);
  if (before !== undefined && !isUnknownTag(before.tag) && before.position <= at.position) {
    return tagsMatch(at.tag, before.tag) ? resumed(cursor, state.floor) : notResumed(view.state(channel), 'diverged');
  }
  return state.floorIsFinal
    ? notResumed(view.state(channel), 'trimmed')
    : {
        ok: false,
        code: 'behind',
        message: 'this node does not hold the channel that far back yet',
        retryMs: timing.retryMs,
      };
}

/** The place is newer than what this node has applied (SUB-6, step 3): never answer from a view older than it. */
async function waitForLog(
  view: View,
  channel: string,
  cursor: string,
  at: CursorParts,
  ring: Ring | undefined,
): Promise<Start> {
  const newest = await view.logNewest(channel);
  if (newest >= at.position) {
    if (await view.reach(channel, at.position, timing.behindMs)) return await resume(view, channel, cursor, at, ring);
    return {
      ok: false,
      code: 'behind',
      message: 'this node has not read the log that far yet',
      retryMs: timing.retryMs,
    };
  }
  // The log was rewound: what this channel lost decides.
  const state = view.state(channel);
  const head = state.head === undefined ? undefined : (parseCursor(state.head) as CursorParts);
  return head !== undefined && head.tag === at.tag
    ? { ok: true, place: state.place, deliverFrom: state.place, resumed: true }
    : notResumed(state, 'diverged');
}

function startAt(place: string): Start {
  return { ok: true, place, deliverFrom: place };
}

/** @param floor where delivery begins if it lies above the place: nothing visible is between */
function resumed(place: string, floor = place): Start {
  return { ok: true, place, deliverFrom: floor > place ? floor : place, resumed: true };
}

function notResumed(state: ChannelState, reason: GapReason): Start {
  return { ok: true, place: state.floor, deliverFrom: state.floor, resumed: false, reason };
}
