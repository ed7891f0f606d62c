import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import {
  decodeState,
  encodeState,
  firstState,
  lackOf,
  SLOTS,
  slotOf,
  slotsOf,
  surplusOf,
  withMember,
  withoutMembers,
  withSlots,
  type GroupState,
} from './group-state.ts';

/** What a member does when it sees a state: gives up what is too much, then takes what it lacks. */
function turn(state: GroupState, id: string): GroupState {
  const joined = withMember(state, id, 0);
  const given = withSlots(joined, new Map(surplusOf(joined, id).map((slot) => [slot, { owner: undefined }])));
  return withSlots(given, new Map(lackOf(given, id).map((slot) => [slot, { owner: id }])));
}

const member = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g');

test('whoever comes and goes, in whatever order they act, all slots are shared evenly in the end, each by one', () => {
  const step = fc.oneof(member, fc.record({ gone: member }));
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 40 }), (story) => {
      let state = firstState(['a:*'], ['oldest']);
      for (const one of story) state = typeof one === 'string' ? turn(state, one) : withoutMembers(state, [one.gone]);
      const ids = state.members.map(({ id }) => id);
      if (ids.length === 0) return assert.ok(state.slots.every(({ owner }) => owner === undefined));
      for (let round = 0; round < 3; round++) for (const id of ids) state = turn(state, id);
      const shares = ids.map((id) => slotsOf(state, id).length);
      assert.equal(
        shares.reduce((sum, share) => sum + share),
        SLOTS,
      );
      assert.ok(Math.max(...shares) - Math.min(...shares) <= 1);
    }),
  );
});

test('a slot is taken when it is free, and never from somebody', () => {
  fc.assert(
    fc.property(fc.array(member, { minLength: 2, maxLength: 30 }), (story) => {
      let state = firstState(['a:*'], ['oldest']);
      for (const id of story) {
        const next = turn(state, id);
        for (const [slot, { owner }] of next.slots.entries()) {
          const before = state.slots[slot]?.owner;
          assert.ok(owner === before || before === undefined || before === id);
        }
        state = next;
      }
    }),
  );
});

test('a state is read back as it was written, each vector of places once', () => {
  let state = turn(turn(firstState(['a:*', 'b:1'], ['oldest', 'oldest']), 'one'), 'two');
  state = withSlots(state, new Map([[7, { places: ['epoch1.11.aaaa', 'epoch2.12.bbbb'] }]]));
  const text = JSON.stringify(encodeState(state));
  assert.deepEqual(decodeState(JSON.parse(text)), state);
  assert.ok(text.length < 700, String(text.length));
  for (const data of [
    null,
    1,
    'x',
    {},
    { version: 2 },
    { ...encodeState(state), owners: [1] },
    { ...encodeState(state), at: [] },
  ])
    assert.throws(() => decodeState(data), { code: 'invalid' });
});

test('a channel’s slot is one for ever', () => {
  assert.deepEqual(['order:1', 'order:2', 'order:eu/17'].map(slotOf), [57, 3, 58]);
  const slots = new Set(Array.from({ length: 2_000 }, (_, n) => slotOf(`order:${n}`)));
  assert.equal(slots.size, SLOTS);
});
