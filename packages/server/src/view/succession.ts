/**
 * What followers are to be told when one life of a view succeeds another: the log goes on, or something else took its
 * place, and channels that changed are taken up from there; or the same is held from further back.
 */
import type { GapReason } from '@tideway/protocol';
import type { Followers } from './followers.ts';
import type { Life } from './life.ts';
import { positionOf } from './packed-place.ts';
import type { Follower } from './view.ts';

export interface Change {
  readonly channel: string;
  readonly tell: (follower: Follower) => void;
}

/** Throws what the store throws where a channel's meta cannot be read now. */
export function findChanges(followers: Followers, before: Life | undefined, after: Life, reason: GapReason): Change[] {
  const changes: Change[] = [];
  if (before === undefined) return changes;
  for (const channel of followers.channels()) {
    const was = before.channels.stateInMemory(channel);
    const is = after.channels.state(channel);
    // A follower may stand at what was the newest place: what comes must not lie before it. And the next record's `prev`
    // is the head, or the floor where there is none: no follower may stand before that.
    const goesOn =
      was.epoch === is.epoch &&
      was.head === is.head &&
      positionOf(was.place) <= after.applier.position &&
      (is.head !== undefined || positionOf(is.floor) <= positionOf(was.place));
    if (!goesOn) changes.push({ channel, tell: (follower) => follower.onGap({ cursor: is.floor, reason }) });
    else if (was.floor !== is.floor) changes.push({ channel, tell: (follower) => follower.onFloor(is.floor) });
  }
  return changes;
}

/**
 * What they are told when a view has come as far as its forerunner: what they were given stands, and below it there is
 * more. Throws what the store throws where a channel's meta cannot be read now.
 */
export function findFilled(followers: Followers, forerunner: Life, after: Life): Change[] {
  const changes: Change[] = [];
  for (const channel of followers.channels()) {
    const was = forerunner.channels.stateInMemory(channel);
    const is = after.channels.state(channel);
    const tell = (follower: Follower): void => {
      follower.onFilled(is.floor);
      // By a record that the forerunner did not read.
      if (is.closed && !was.closed) follower.onClosed();
    };
    changes.push({ channel, tell });
  }
  return changes;
}
