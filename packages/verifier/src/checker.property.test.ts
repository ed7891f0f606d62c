import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodePositionNumber, formatCursor } from '@tideway/protocol';
import * as fc from 'fast-check';
import { HistoryChecker, hashData, type HistoryEvent, type RecordEvent, type Verdict } from './checker.ts';
import { CHANNEL, HistoryModel, type ModelStep } from './history-model.ts';

const step: fc.Arbitrary<ModelStep> = fc.record({
  act: fc.constantFrom(
    ...(['append', 'append', 'append', 'deliver', 'deliver', 'cut', 'resume'] as const),
    ...(['refuse', 'unconfirmed', 'trim', 'control', 'mark'] as const),
  ),
  who: fc.nat(5),
  count: fc.integer({ min: 1, max: 5 }),
});
const steps = fc.array(step, { minLength: 5, maxLength: 60 });

function check(events: readonly HistoryEvent[]): Verdict {
  const checker = new HistoryChecker({ closedWorld: true, mayDiverge: false });
  for (const event of events) checker.accept(event);
  return checker.finish();
}

const isRecord = (event: HistoryEvent): event is RecordEvent => event.kind === 'record';

type Mutation = (events: HistoryEvent[], model: HistoryModel, choice: number) => HistoryEvent[] | undefined;

/** The index of a chosen event of a kind; -1 where there is none. */
function pick(
  events: readonly HistoryEvent[],
  choice: number,
  test: (event: HistoryEvent, index: number) => boolean,
): number {
  const indexes = events.flatMap((event, index) => (test(event, index) ? [index] : []));
  return indexes.length === 0 ? -1 : (indexes[choice % indexes.length] as number);
}

/** The next thing the same reader tells. */
function nextOf(events: readonly HistoryEvent[], index: number): HistoryEvent | undefined {
  const { reader } = events[index] as RecordEvent;
  return events.slice(index + 1).find((event) => 'reader' in event && event.reader === reader);
}

/** A record whose reader goes on with another record: what is changed there cannot hide behind a declared gap. */
const isInner = (events: readonly HistoryEvent[]) => (event: HistoryEvent, index: number) =>
  isRecord(event) && nextOf(events, index)?.kind === 'record';

const mutations: Readonly<Record<string, Mutation>> = {
  'a record is not given to a reader': (events, _model, choice) => {
    // The first record of an SDK's reader is where it begins, so only wire readers miss their first one.
    const index = pick(
      events,
      choice,
      (event, i) => isInner(events)(event, i) && (event as RecordEvent).reader.startsWith('wire'),
    );
    return index < 0 ? undefined : events.toSpliced(index, 1);
  },
  'a record is given twice': (events, _model, choice) => {
    const index = pick(events, choice, isRecord);
    return index < 0 ? undefined : events.toSpliced(index, 0, events[index] as HistoryEvent);
  },
  'two records change places': (events, _model, choice) => {
    const index = pick(
      events,
      choice,
      (event, i) =>
        isInner(events)(event, i) &&
        isRecord(events[i + 1] as HistoryEvent) &&
        (events[i + 1] as RecordEvent).reader === (event as RecordEvent).reader,
    );
    return index < 0
      ? undefined
      : events.toSpliced(index, 2, events[index + 1] as HistoryEvent, events[index] as HistoryEvent);
  },
  'a record has other data': (events, _model, choice) => {
    const index = pick(events, choice, isRecord);
    return index < 0
      ? undefined
      : events.with(index, { ...(events[index] as RecordEvent), hash: hashData('tampered') });
  },
  'a record has another rid': (events, _model, choice) => {
    const index = pick(events, choice, isRecord);
    return index < 0 ? undefined : events.with(index, { ...(events[index] as RecordEvent), rid: 'tampered' });
  },
  'a record claims a predecessor that is not its own': (events, model, choice) => {
    const placeOf = (event: HistoryEvent): number =>
      model.records.findIndex((stored) => stored.cursor === (event as RecordEvent).cursor);
    // What it leaves out must be known to exist: its append was acknowledged.
    const isKnown = (place: number): boolean =>
      place > 1 &&
      events.some(
        (event) =>
          event.kind === 'outcome' && event.rid === model.records[place - 1]?.rid && event.outcome.state === 'stored',
      );
    const index = pick(events, choice, (event, i) => isInner(events)(event, i) && isKnown(placeOf(event)));
    if (index < 0) return undefined;
    const record = events[index] as RecordEvent;
    return events.with(index, { ...record, prev: model.records[placeOf(record) - 2]?.cursor ?? record.prev });
  },
  'an acknowledged record is in the log no more': (events, model, choice) => {
    const index = pick(
      events,
      choice,
      (event) =>
        event.kind === 'outcome' &&
        event.outcome.state === 'stored' &&
        events.some(
          (other, i) =>
            isInner(events)(other, i) &&
            (other as RecordEvent).rid === event.rid &&
            (other as RecordEvent).reader.startsWith('wire'),
        ),
    );
    if (index < 0) return undefined;
    const { rid } = events[index] as RecordEvent;
    const at = model.records.findIndex((stored) => stored.rid === rid);
    const gone = model.records[at] as { readonly cursor: string; readonly prev: string };
    return events
      .filter((event) => !(isRecord(event) && event.rid === rid))
      .map((event) => (isRecord(event) && event.prev === gone.cursor ? { ...event, prev: gone.prev } : event));
  },
  'a rid is stored twice': (events, model, choice) => {
    const rid = (events[pick(events, choice, isRecord)] as RecordEvent | undefined)?.rid;
    const last = events.findLast(isRecord);
    if (rid === undefined || last === undefined || last.cursor !== model.head) return undefined;
    return [
      ...events,
      { ...last, prev: last.cursor, cursor: formatCursor('ModelA', encodePositionNumber(2 ** 40), 'aaaa'), rid },
    ];
  },
  'a visible record was refused': (events, _model, choice) => {
    const index = pick(
      events,
      choice,
      (event) =>
        event.kind === 'outcome' &&
        event.outcome.state !== 'refused' &&
        events.some((other) => isRecord(other) && other.rid === event.rid),
    );
    if (index < 0) return undefined;
    const { rid } = events[index] as RecordEvent;
    return events.with(index, {
      kind: 'outcome',
      channel: CHANNEL,
      rid: rid as string,
      outcome: { state: 'refused', code: 'invalid' },
    });
  },
  'a gap is not declared': (events, _model, choice) => {
    const index = pick(
      events,
      choice,
      (event, i) => event.kind === 'gap' && event.reader.startsWith('wire') && nextOf(events, i)?.kind === 'record',
    );
    return index < 0 ? undefined : events.toSpliced(index, 1);
  },
  'a gap is declared where nothing was missed': (events, _model, choice) => {
    const index = pick(events, choice, isInner(events));
    if (index < 0) return undefined;
    const { reader, cursor } = events[index] as RecordEvent;
    return events.toSpliced(index + 1, 0, { kind: 'gap', reader, channel: CHANNEL, cursor, reason: 'trimmed' });
  },
  'a writer had sent two records in the other order': (events, _model, choice) => {
    const isSeen = (event: HistoryEvent): boolean =>
      event.kind === 'append' &&
      event.writer === 'writer-0' &&
      events.some((other) => isRecord(other) && other.rid === event.rid);
    const first = pick(events, choice, isSeen);
    const second = pick(events, choice + 1, isSeen);
    const [a, b] = [events[first], events[second]];
    if (first === second || a?.kind !== 'append' || b?.kind !== 'append') return undefined;
    return events.with(first, { ...a, sequence: b.sequence }).with(second, { ...b, sequence: a.sequence });
  },
  'a record comes after the connection ended': (events, _model, choice) => {
    const index = pick(events, choice, (event) => event.kind === 'disconnect');
    if (index < 0) return undefined;
    const { reader } = events[index] as RecordEvent;
    const last = events.slice(0, index).findLast((event) => isRecord(event) && event.reader === reader);
    return last === undefined ? undefined : events.toSpliced(index + 1, 0, last);
  },
};

test('every valid history passes', () => {
  fc.assert(
    fc.property(steps, (steps) => {
      assert.deepEqual(check(new HistoryModel().run(steps).events).violations, []);
    }),
    { numRuns: 500 },
  );
});

for (const [name, mutate] of Object.entries(mutations)) {
  test(`in any history it is noticed when ${name}`, () => {
    let tried = 0;
    fc.assert(
      fc.property(steps, fc.nat(1_000), (steps, choice) => {
        const model = new HistoryModel().run(steps);
        const mutant = mutate(model.events, model, choice);
        fc.pre(mutant !== undefined);
        tried++;
        assert.equal(check(mutant).ok, false);
      }),
      { numRuns: 200, maxSkipsPerRun: 200 },
    );
    assert.ok(tried >= 100);
  });
}
