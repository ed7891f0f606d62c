/**
 * Judges every step of a reader against the client's rule (CUR-7) and against what the channel is known to hold: holes,
 * duplicates, false gaps, broken chains, places that went back.
 */
import { judge } from '@tideway/protocol';
import { identity } from './appends.ts';
import type { ChannelHistory } from './channel-history.ts';
import { epochOf, namesRecord } from './cursor-order.ts';
import type { GapEvent, MarkEvent, RecordEvent, SubscribedEvent } from './history.ts';
import type { ReaderHistory } from './reader-history.ts';
import type { Report } from './verdict.ts';

export interface ReaderRules {
  readonly report: Report;
  /** The log may lose or replace its tail (declared by `diverged` or `epoch`); else such a gap is itself a loss. */
  readonly mayDiverge: boolean;
  /** A node may not have yet what another one has acknowledged. */
  readonly manyNodes: boolean;
}

export function checkSubscribed(
  reader: ReaderHistory,
  channel: ChannelHistory,
  event: SubscribedEvent,
  tick: number,
  rules: ReaderRules,
): void {
  reader.begin(event);
  const { from, cursor, head } = event;
  const where = { cursor, reader: reader.reader };
  if (
    from !== undefined &&
    reader.place !== undefined &&
    from > reader.place &&
    epochOf(from) === epochOf(reader.place)
  ) {
    const text = `${reader.reader} was given everything up to ${reader.place} only, and resumes from ${from}`;
    rules.report('undeclared-gap', text, { cursor: from, reader: reader.reader });
  }
  if (event.asked !== undefined && !rules.manyNodes) {
    const newest = channel.acknowledgedBy(event.asked);
    if (newest !== undefined && epochOf(newest) === epochOf(head) && head < newest) {
      const text = `${reader.reader} was told that ${head} is the newest record, after ${newest} had been acknowledged`;
      rules.report('gone', text, { cursor: newest, reader: reader.reader });
    }
  }
  if (from === undefined) {
    reader.restart(cursor);
    return;
  }
  if (event.resumed === false) {
    if (event.reason === 'trimmed' && namesRecord(head) && head <= from && epochOf(head) === epochOf(from)) {
      rules.report(
        'false-gap',
        `${reader.reader} was told of a gap at ${from}, which holds all up to the newest record ${head}`,
        where,
      );
    }
    declareGap(reader, channel, { from, cursor, head, reason: event.reason ?? 'trimmed', tick }, rules);
    return;
  }
  if (cursor > from) {
    rules.report(
      'undeclared-gap',
      `${reader.reader} resumed from ${from} and was put at ${cursor} without a gap`,
      where,
    );
  } else if (cursor < from && !rules.mayDiverge) {
    rules.report(
      'gone',
      `${reader.reader} resumed from ${from} and was put back to ${cursor}: the log lost its tail`,
      where,
    );
  }
  if (cursor === from && from === reader.place) return;
  reader.restart(cursor);
}

export function checkGap(
  reader: ReaderHistory,
  channel: ChannelHistory,
  event: GapEvent,
  tick: number,
  rules: ReaderRules,
): void {
  if (!invited(reader, event, rules)) return;
  declareGap(reader, channel, { from: reader.place, cursor: event.cursor, reason: event.reason, tick }, rules);
}

function declareGap(
  reader: ReaderHistory,
  channel: ChannelHistory,
  gap: {
    readonly from: string | undefined;
    readonly cursor: string;
    readonly reason: GapEvent['reason'];
    readonly tick: number;
    readonly head?: string;
  },
  { report, mayDiverge }: ReaderRules,
): void {
  const { from, cursor, reason } = gap;
  const where = { cursor, reader: reader.reader };
  reader.gaps[reason]++;
  reader.gapFrom = undefined;
  if (reason === 'trimmed') {
    if (from !== undefined && cursor <= from) {
      report(
        'false-gap',
        `${reader.reader} was told of a gap from ${from} back to ${cursor}: nothing lies between`,
        where,
      );
    } else if (from !== undefined) {
      reader.gapFrom = { place: from, cursor };
    }
    if (cursor > (channel.floor?.cursor ?? '')) channel.floor = { cursor, tick: gap.tick };
    if (gap.head !== undefined) channel.declared({ reader: reader.reader, floor: cursor, head: gap.head });
  } else if (mayDiverge) {
    const { first } = channel.records;
    // Another reader may have told of the log's new life already, and what is known belong to it.
    const isSameLife = first !== undefined && reason === 'epoch' && epochOf(first.cursor) === epochOf(cursor);
    if (from !== undefined && first !== undefined && !isSameLife) channel.reset(epochOf(cursor));
  } else {
    const text = `${reader.reader} was told that the log is another one (${reason}) behind ${from ?? 'its start'}: what was acknowledged there is gone`;
    report('gone', text, where);
  }
  reader.restart(cursor);
}

function invited(reader: ReaderHistory, event: RecordEvent | MarkEvent | GapEvent, { report }: ReaderRules): boolean {
  if (!reader.onWire || reader.live) return true;
  report('uninvited', `${reader.reader} got a ${event.kind} at ${event.cursor} outside of any subscription`, {
    cursor: event.cursor,
    reader: reader.reader,
  });
  return false;
}

export function checkMark(reader: ReaderHistory, channel: ChannelHistory, event: MarkEvent, rules: ReaderRules): void {
  if (!invited(reader, event, rules)) return;
  const place = (reader.place ??= begin(reader, event.prev));
  const where = { cursor: event.cursor, reader: reader.reader };
  switch (judge(place, event)) {
    case 'duplicate':
      if (event.cursor < place)
        rules.report('reordered', `${reader.reader} got a mark at ${event.cursor}, below its place ${place}`, where);
      return;
    case 'hole':
      rules.report('undeclared-gap', `${reader.reader} at ${place} got a mark that follows ${event.prev}`, where);
      reader.jump(event.cursor);
      return;
    case 'apply':
      // A mark says that nothing is there for this reader up to its cursor, and at it.
      for (const entry of channel.records.between(place, event.cursor))
        channel.lost(reader, entry.cursor, entry.acknowledged);
      if (channel.records.has(event.cursor)) channel.lost(reader, event.cursor, false);
      reader.advance(event.cursor);
  }
}

export function checkRecord(
  reader: ReaderHistory,
  channel: ChannelHistory,
  event: RecordEvent,
  rules: ReaderRules,
): 'known' | 'beyond' {
  if (!invited(reader, event, rules)) return 'known';
  const { report } = rules;
  const { cursor, prev } = event;
  const where = { cursor, reader: reader.reader, rid: event.rid };
  const place = (reader.place ??= begin(reader, prev));
  const id = event.rid === undefined ? undefined : identity(event.rid, event.user);
  early(reader, channel, id, event, rules);
  if (!(prev < cursor)) report('broken-chain', `the record at ${cursor} claims to follow ${prev}`, where);
  if (epochOf(cursor) !== epochOf(place)) {
    report('undeclared-gap', `${reader.reader} at ${place} got ${cursor}, of another epoch, without a gap`, where);
    reader.restart(cursor);
    return 'known';
  }
  const step = judge(place, event);
  if (step === 'duplicate') {
    const again = cursor === place || reader.covers(cursor);
    report(again ? 'duplicated' : 'reordered', `${reader.reader} at ${place} got ${cursor} again or too late`, where);
    return 'known';
  }
  falseGap(reader, channel, event, rules);
  if (step === 'hole') {
    report(
      'undeclared-gap',
      `${reader.reader} at ${place} got ${cursor}, which follows ${prev}: what lies between is missing`,
      {
        ...where,
        cursor: prev,
      },
    );
    reader.jump(prev);
  }
  // What is known to stand between this record and the one it claims to follow, or the place, was skipped.
  const from = reader.place ?? place;
  for (const entry of channel.records.between(namesRecord(prev) && prev < from ? prev : from, cursor)) {
    if (entry.cursor > from) channel.lost(reader, entry.cursor, entry.acknowledged);
    else report('broken-chain', `${cursor} claims to follow ${prev}, but ${entry.cursor} stands between them`, where);
  }
  const beyond = cursor <= channel.records.below;
  if (namesRecord(prev)) channel.note(prev, {});
  channel.note(cursor, { prev, ...(id === undefined ? {} : { id }), hash: event.hash, reader: reader.reader });
  reader.advance(cursor);
  reader.given(cursor, event.hash);
  return beyond ? 'beyond' : 'known';
}

/** A reader without `subscribed` begins where its first record or mark says it follows. */
function begin(reader: ReaderHistory, prev: string): string {
  reader.restart(prev);
  return prev;
}

/** While a session lives, `ok` of its append comes before the record itself (APP-5). */
function early(
  reader: ReaderHistory,
  channel: ChannelHistory,
  id: string | undefined,
  event: RecordEvent,
  { report }: ReaderRules,
): void {
  if (id === undefined || reader.session === undefined) return;
  const append = channel.appends.get(id);
  if (append === undefined || append.outcome !== undefined || append.session !== reader.session) return;
  report(
    'record-before-ok',
    `${reader.reader} got the record of its own append at ${event.cursor} before the append was answered`,
    {
      cursor: event.cursor,
      reader: reader.reader,
      rid: event.rid,
    },
  );
}

function falseGap(reader: ReaderHistory, channel: ChannelHistory, event: RecordEvent, { report }: ReaderRules): void {
  const { cursor, prev } = event;
  const gap = reader.gapFrom;
  reader.gapFrom = undefined;
  if (gap !== undefined && namesRecord(prev) && prev <= gap.place && epochOf(prev) === epochOf(gap.place)) {
    const text = `${reader.reader} was told of a gap behind ${gap.place}, but ${cursor} follows ${prev}: nothing was missed`;
    report('false-gap', text, { cursor: gap.cursor, reader: reader.reader });
  }
  const { floor } = channel;
  if (floor !== undefined && reader.asked !== undefined && reader.asked >= floor.tick && cursor <= floor.cursor) {
    const text = `what lies up to ${floor.cursor} was said to be trimmed, yet ${reader.reader} was given ${cursor} by a later subscription`;
    report('false-gap', text, { cursor: floor.cursor, reader: reader.reader });
    channel.floor = undefined;
  }
}
