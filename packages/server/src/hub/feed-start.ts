/**
 * Where reading a feed starts (PROTOCOL.md FEED-4, the steps): from an `after` to a place, or to the gap that lies
 * behind it. A node that is behind waits or says so; it never answers from a copy that is older than the place.
 */
import { isUnknownTag, parseCursor, tagsMatch, timing, TidewayError, type GapReason } from '@tideway/protocol';
import type { Feed } from '../view/view.ts';

export interface FeedStart {
  /** Behind it the page begins. */
  readonly place: string;
  /** What lies between the place asked for and this one cannot be told. */
  readonly reason?: GapReason;
}

/** Finds the start. Throws a `TidewayError`: `bad_cursor`, or `behind`. */
export async function findFeedStart(feed: Feed, after: string): Promise<FeedStart> {
  // What lies below the base may come while this looks: whoever asks again is told from where.
  const { baseIsFinal } = feed;
  const fromBase = async (reason?: GapReason): Promise<FeedStart> => {
    if (!baseIsFinal) throw behindError('this node has not read what lies below yet');
    return { place: await feed.base(), ...(reason === undefined ? {} : { reason }) };
  };
  if (after === 'oldest') return await fromBase();
  if (after === 'now') return { place: await feed.newest() };
  const at = parseCursor(after);
  if (at === undefined) throw new TidewayError('bad_cursor', '"after" must be a place of this feed, "oldest" or "now"');
  if (at.epoch !== feed.epoch) return await fromBase('epoch');
  if (at.position > feed.applied) {
    const logNewest = await feed.logNewest();
    if (logNewest === undefined) throw behindError('this node cannot ask the log how far it goes');
    if (logNewest < at.position) {
      const newest = await feed.newest();
      // Nothing that was visible is lost where the newest record still is the same.
      const isSame = !isUnknownTag(at.tag) && parseCursor(newest)?.tag === at.tag;
      return isSame ? { place: newest } : await fromBase('diverged');
    }
    if (!(await feed.reach(at.position, timing.behindMs))) {
      throw behindError('this node has not read the log that far yet');
    }
  }
  const base = await feed.base();
  if (at.position < (parseCursor(base) as { position: string }).position) return await fromBase('trimmed');
  const tag = await feed.tagAt(at.position);
  return tag === undefined || tagsMatch(tag, at.tag) ? { place: after } : await fromBase('diverged');
}

function behindError(message: string): TidewayError {
  return new TidewayError('behind', message, { retryMs: timing.retryMs });
}
