/**
 * Where a subscription starts (PROTOCOL.md SUB-6, the six steps): from a `from` to a place, or to the reason why not.
 * Answers at once where memory knows; asks the view where it must.
 */
import {
  formatCursor,
  isUnknownTag,
  parseCursor,
  TAG_HIGHEST,
  TAG_LOWEST,
  tagsMatch,
  timing,
  type CursorParts,
  type GapReason,
} from '@tideway/protocol';
import type { Turnstile } from '../auth/turnstile.ts';
import type { ChannelState, Page, View } from '../view/view.ts';
import { catchUpPage } from './catch-up.ts';
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
      /** What lies behind the place, where the view was asked for both at once. */
      readonly page?: Page;
    }
  | { readonly ok: false; readonly code: 'bad_cursor' | 'behind'; readonly message: string; readonly retryMs?: number };

const LAST = /^last:(0|[1-9]\d{0,3})$/;
const LAST_MAX = 1_000;
const END_POSITION = 'Bzzzzzzzzzzz';

/** A `from` that is understood: symbolic, or a well-formed cursor. */
export type ParsedFrom =
  | { readonly kind: 'now' | 'oldest' }
  | { readonly kind: 'last'; readonly count: number }
  | { readonly kind: 'cursor'; readonly parts: CursorParts };

/** Reads a `from`; `undefined` when it is none (`bad_cursor`). */
function parseFrom(from: string | undefined): ParsedFrom | undefined {
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

/** What finding a start goes by. */
export interface StartParts {
  readonly view: View;
  readonly channel: string;
  /** Of the channel, where it is followed now. */
  readonly ring?: () => Ring | undefined;
  /** Fills that ring, where it is there and was not filled yet. */
  readonly fillRing?: () => Promise<void> | undefined;
  /** Lets in who must read the view. */
  readonly turns: Turnstile;
  /** The start may bring a page, which must be used at once; of a followed channel it never does. */
  readonly wantsPage?: boolean;
}

/** Finds the place of a start. A promise only where the view has to be read or waited for. */
export function findStart(parts: StartParts, from: string | undefined): Start | Promise<Start> {
  const parsed = parseFrom(from);
  if (parsed === undefined) {
    return {
      ok: false,
      code: 'bad_cursor',
      message: '"from" must be a cursor, "now", "oldest" or "last:N" with N of 0 to 1000',
    };
  }
  const { view, channel } = parts;
  const state = view.state(channel);
  switch (parsed.kind) {
    case 'now':
      return startAt(state.place);
    case 'oldest':
      return state.floorIsFinal ? startAt(state.floor) : BEHIND;
    case 'last':
      return lastPlace(parts, state, parsed.count);
    case 'cursor': {
      const { epoch, position, tag } = parsed.parts;
      // In byte order `----` stands in front of the record at this position, which the place has behind it.
      const cursor = tag === TAG_LOWEST ? formatCursor(epoch, position, TAG_HIGHEST) : (from as string);
      return resume(parts, cursor, parsed.parts);
    }
    default:
      return parsed satisfies never;
  }
}

/** Just before the N-th newest; the floor where there are fewer. */
function lastPlace(parts: StartParts, state: ChannelState, count: number): Start | Promise<Start> {
  const { view, channel, ring } = parts;
  if (state.head === undefined) return state.floorIsFinal ? startAt(state.floor) : BEHIND;
  const inRing = ring?.()?.nthNewest(count);
  if (inRing !== undefined) return startAt(placeBefore(inRing.prev, state.floor));
  const before = formatCursor(state.epoch, END_POSITION, 'zzzz');
  const request = { before, limit: count, bytes: Number.POSITIVE_INFINITY };
  return inTurn(parts, () => view.read(channel, request)).then((page) => {
    if (page.behind) return BEHIND;
    const oldest = page.records[0];
    const { floor } = view.state(channel);
    return startAt(oldest === undefined || page.records.length < count ? floor : placeBefore(oldest.prev, floor));
  });
}

/** The place in front of a record: its `prev`, unless that lies below the floor. */
function placeBefore(prev: string, floor: string): string {
  return prev > floor ? prev : floor;
}

function resume(parts: StartParts, cursor: string, at: CursorParts): Start | Promise<Start> {
  const { view, channel } = parts;
  const state = view.state(channel);
  if (at.epoch !== state.epoch) return notResumed(state, 'epoch');
  if (at.position > view.applied(channel)) return waitForLog(parts, cursor, at);
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
  if (at.position < floor.position) return belowFloor(parts, cursor, at);
  if (at.position === floor.position)
    return tagsMatch(at.tag, floor.tag) ? resumed(cursor) : notResumed(state, 'diverged');
  const known = tagInRing(parts, at);
  if (known !== undefined) return tagsMatch(at.tag, known) ? resumed(cursor) : notResumed(state, 'diverged');
  return inTurn(parts, () => readPlace(parts, cursor, at)).then(({ tag, page }) => {
    if (tag === undefined || tagsMatch(at.tag, tag)) {
      // While the tag was read the floor may have passed the place.
      const now = view.state(channel);
      return now.floor > cursor && (parseCursor(now.floor) as CursorParts).position > at.position
        ? notResumed(now, 'trimmed')
        : { ...resumed(cursor), ...(page === undefined ? {} : { page }) };
    }
    return notResumed(view.state(channel), 'diverged');
  });
}

/** The tag of a place that the ring covers: behind its base it holds every record, the base included as a place. */
function tagInRing({ ring }: StartParts, at: CursorParts): string | undefined {
  const held = ring?.();
  const known = held && parseCursor(held.atOrBefore(at.position)?.cursor ?? held.base);
  const isKnown = known?.epoch === at.epoch && known.position <= at.position && !isUnknownTag(known.tag);
  return isKnown ? known.tag : undefined;
}

/** The tag known for a place, as `tagAt` says it; out of the page behind the place where that is wanted as well. */
async function readPlace(
  parts: StartParts,
  cursor: string,
  at: CursorParts,
): Promise<{ readonly tag: string | undefined; readonly page?: Page }> {
  const { view, channel } = parts;
  // Whoever came before may have filled the ring meanwhile: a crowd on one channel reads it a few times only.
  let known = tagInRing(parts, at);
  const filling = known === undefined ? parts.fillRing?.() : undefined;
  if (filling !== undefined) {
    await filling;
    known = tagInRing(parts, at);
  }
  if (known !== undefined) return { tag: known };
  if (parts.wantsPage !== true || parts.ring?.() !== undefined) return { tag: await view.tagAt(channel, at.position) };
  const page = await view.read(channel, { after: cursor, ...catchUpPage });
  const prev = page.records[0] === undefined ? undefined : parseCursor(page.records[0].prev);
  const isKnown = prev !== undefined && prev.position <= at.position && !isUnknownTag(prev.tag);
  return { tag: isKnown ? prev.tag : undefined, page };
}

async function inTurn<T>({ turns }: StartParts, read: () => Promise<T>): Promise<T> {
  const leave = await turns.enter();
  try {
    return await read();
  } finally {
    leave();
  }
}

/** The place lies below the floor: a gap only where something visible lay between (SUB-6, step 4; GAP-2). */
async function belowFloor(parts: StartParts, cursor: string, at: CursorParts): Promise<Start> {
  const { view, channel } = parts;
  const state = view.state(channel);
  // Whatever is read here: what lies below may have come by then.
  const { floorIsFinal } = state;
  const { records } = await inTurn(parts, () => view.read(channel, { after: state.floor, limit: 1, bytes: 1 }));
  const before = records[0] === undefined ? undefined : parseCursor(records[0].prev);
  if (before !== undefined && !isUnknownTag(before.tag) && before.position <= at.position) {
    return tagsMatch(at.tag, before.tag) ? resumed(cursor, state.floor) : notResumed(view.state(channel), 'diverged');
  }
  return floorIsFinal ? notResumed(view.state(channel), 'trimmed') : BEHIND;
}

/** The place is newer than what this node has applied (SUB-6, step 3): never answer from a view older than it. */
async function waitForLog(parts: StartParts, cursor: string, at: CursorParts): Promise<Start> {
  const { view, channel } = parts;
  const newest = await view.logNewest(channel);
  if (newest === undefined || newest >= at.position) {
    const isReached = newest !== undefined && (await view.reach(channel, at.position, timing.behindMs));
    if (isReached) return await resume(parts, cursor, at);
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
  return head !== undefined && head.tag === at.tag && !isUnknownTag(at.tag)
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

const BEHIND: Start = {
  ok: false,
  code: 'behind',
  message: 'this node does not hold the channel that far back yet',
  retryMs: timing.retryMs,
};

/** Below a floor that is not final this node cannot tell what is missing, nor give everything that is kept. */
function notResumed(state: ChannelState, reason: GapReason): Start {
  if (!state.floorIsFinal) return BEHIND;
  return { ok: true, place: state.floor, deliverFrom: state.floor, resumed: false, reason };
}
