/** PROTOCOL.md SUB-6, step by step, on a view that says what each step needs. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTurnstile } from '../auth/turnstile.ts';
import type { ChannelState, Page, View, VisibleRecord } from '../view/view.ts';
import { findStart, type Start } from './resume.ts';

const EPOCH = 'epoch1';
const turns = createTurnstile(2);

/** A place: one digit of position, which is enough here. */
const at = (position: string, tag = 'zzzz'): string => `${EPOCH}.1${position}.${tag}`;

interface Known {
  readonly head?: string;
  readonly floor?: string;
  readonly floorIsFinal?: boolean;
  readonly applied?: string;
  readonly logNewest?: string;
  readonly isLogAway?: boolean;
  readonly reaches?: boolean;
  /** The tag known for a position. */
  readonly tag?: string;
  /** The `prev` of the first record that is held. */
  readonly firstPrev?: string;
}

function viewOf(known: Known): View {
  const floor = known.floor ?? `${EPOCH}.0.zzzz`;
  const { head } = known;
  const state: ChannelState = {
    epoch: EPOCH,
    place: head !== undefined && head > floor ? head : floor,
    head,
    floor,
    floorIsFinal: known.floorIsFinal ?? true,
    closed: false,
  };
  const applied = known.applied ?? '19';
  // Where a tag is known it is that of position 5.
  const before = known.tag === undefined ? floor : at('5', known.tag);
  const first = { cursor: head, prev: known.firstPrev ?? before } as VisibleRecord;
  return {
    state: () => state,
    tagAt: () => Promise.resolve(known.tag),
    read: () => {
      const records = head === undefined || head <= floor ? [] : [first];
      return Promise.resolve({ records, behind: !state.floorIsFinal } as unknown as Page);
    },
    follow: () => () => {},
    ready: () => undefined,
    life: () => undefined,
    ridWindowMs: () => 0,
    toFill: 0,
    reach: () => Promise.resolve(known.reaches ?? false),
    applied: () => applied,
    feeds: [],
    logNewest: () => Promise.resolve(known.isLogAway === true ? undefined : (known.logNewest ?? applied)),
  };
}

async function answer(from: string, known: Known, wantsPage: boolean): Promise<string> {
  const start: Start = await findStart({ view: viewOf(known), channel: 'chat:1', turns, wantsPage }, from);
  if (!start.ok) return start.code;
  return start.resumed === true ? `resumed ${start.place}` : `${start.reason} ${start.place}`;
}

/** Each line: the clause, the place, what the node knows, the answer. */
const cases: readonly (readonly [string, string, Known, string])[] = [
  ['1: what is not well-formed', 'nonsense', {}, 'bad_cursor'],
  ['2: another epoch', 'epoch2.15.abcd', { head: at('8', 'head') }, `epoch ${EPOCH}.0.zzzz`],

  ['3: the log has it, and it comes', at('C', 'zzzz'), { applied: '19', logNewest: '1D', reaches: false }, 'behind'],
  ['3: the log cannot be asked now', at('C', 'head'), { head: at('8', 'head'), isLogAway: true }, 'behind'],
  [
    '3: the log does not have it, and the channel is as it was',
    at('C', 'head'),
    { head: at('8', 'head') },
    `resumed ${at('8', 'head')}`,
  ],
  [
    '3: the log does not have it, and the channel is not as it was',
    at('C', 'else'),
    { head: at('8', 'head'), floor: at('2', 'tag2') },
    `diverged ${at('2', 'tag2')}`,
  ],
  [
    '3: the log does not have it, and a place without a tag proves nothing',
    at('C', 'zzzz'),
    { head: at('8', 'head') },
    `diverged ${EPOCH}.0.zzzz`,
  ],

  [
    '4: below the floor, at the newest record',
    at('3', 'head'),
    { head: at('3', 'head'), floor: at('5', 'head') },
    `resumed ${at('3', 'head')}`,
  ],
  [
    '4, 5: below the floor, at the newest record, of another history',
    at('3', 'else'),
    { head: at('3', 'head'), floor: at('5', 'head') },
    `diverged ${at('5', 'head')}`,
  ],
  [
    '4: below the floor, and the first record held says that none lies between',
    at('3', 'tag3'),
    { head: at('8', 'head'), floor: at('5'), firstPrev: at('3', 'tag3') },
    `resumed ${at('3', 'tag3')}`,
  ],
  [
    '4, 5: the same of another history',
    at('3', 'else'),
    { head: at('8', 'head'), floor: at('5'), firstPrev: at('3', 'tag3') },
    `diverged ${at('5')}`,
  ],
  [
    '4: below the floor, and something lay between',
    at('2', 'tag2'),
    { head: at('8', 'head'), floor: at('5', 'tag5'), firstPrev: at('4', 'tag4') },
    `trimmed ${at('5', 'tag5')}`,
  ],
  [
    '4 before 5: what lies below the floor is compared with nothing, so a place of another history is trimmed, too',
    at('2', 'else'),
    { head: at('8', 'head'), floor: at('5', 'tag5'), firstPrev: at('4', 'tag4') },
    `trimmed ${at('5', 'tag5')}`,
  ],
  [
    '4: where this node does not know what lies below its floor, nothing between is no excuse',
    at('2', 'tag2'),
    { head: at('8', 'head'), floor: at('5'), firstPrev: at('2', '----') },
    `trimmed ${at('5')}`,
  ],
  [
    '4: only this node lacks it',
    at('2', 'tag2'),
    { head: at('8', 'head'), floor: at('5'), floorIsFinal: false, firstPrev: at('5', '----') },
    'behind',
  ],

  [
    '4: nothing that this node knows of lies below, and it does not know all',
    at('2', 'tag2'),
    { floor: at('5'), floorIsFinal: false },
    'behind',
  ],
  [
    'a gap goes on at the floor, and below one that is not final there is more: another epoch',
    'epoch2.11.tag1',
    { floor: at('5'), floorIsFinal: false },
    'behind',
  ],
  [
    'the same, with another tag',
    at('5', 'else'),
    { head: at('8', 'head'), floor: at('4'), floorIsFinal: false, tag: 'tag5' },
    'behind',
  ],
  [
    'the same, with the tag of a record it has not read',
    at('7', 'tag2'),
    { floor: at('5'), floorIsFinal: false },
    'behind',
  ],
  [
    'the same, where the log was rewound',
    at('C', 'tagC'),
    { floor: at('5'), floorIsFinal: false, logNewest: '1A' },
    'behind',
  ],
  ['SUB-2 "oldest" is where all is held', 'oldest', { floor: at('5'), floorIsFinal: false }, 'behind'],
  ['SUB-2 "last:N" with fewer records, and more below', 'last:3', { floor: at('5'), floorIsFinal: false }, 'behind'],
  [
    'SUB-2 "last:N" with fewer records than that above the floor',
    'last:3',
    { head: at('8', 'head'), floor: at('5'), floorIsFinal: false },
    'behind',
  ],

  ['5: another tag', at('5', 'else'), { head: at('8', 'head'), tag: 'tag5' }, `diverged ${EPOCH}.0.zzzz`],
  ['5: another tag at the head', at('8', 'else'), { head: at('8', 'head') }, `diverged ${EPOCH}.0.zzzz`],
  [
    '5: another tag at the floor',
    at('5', 'else'),
    { head: at('8', 'head'), floor: at('5', 'tag5') },
    `diverged ${at('5', 'tag5')}`,
  ],
  ['5: the tag of a record, and there never was one', at('5', 'else'), {}, `diverged ${EPOCH}.0.zzzz`],
  ['5: a place without a tag matches every one', at('5'), { head: at('8', 'head'), tag: 'tag5' }, `resumed ${at('5')}`],
  ['5: where no tag is known any will do', at('5', 'tag5'), { head: at('8', 'head') }, `resumed ${at('5', 'tag5')}`],

  [
    '6: the place, byte for byte',
    at('5', 'tag5'),
    { head: at('8', 'head'), tag: 'tag5' },
    `resumed ${at('5', 'tag5')}`,
  ],
  ['6: behind the head', at('9', 'head'), { head: at('8', 'head') }, `resumed ${at('9', 'head')}`],
  ['6: of a channel that never had a record', `${EPOCH}.0.zzzz`, {}, `resumed ${EPOCH}.0.zzzz`],
];

for (const [what, from, known, expected] of cases) {
  test(`SUB-6, ${what}`, async () => {
    for (const wantsPage of [false, true]) assert.equal(await answer(from, known, wantsPage), expected);
  });
}

test('SUB-2 "now" is answered also where nothing is held, since nothing newer exists', async () => {
  const view = viewOf({ floor: at('5'), floorIsFinal: false });
  const start = await findStart({ view, channel: 'chat:1', turns }, 'now');
  assert.deepEqual(start, { ok: true, place: at('5'), deliverFrom: at('5') });
});

test('SUB-6, 3: the log has it, and the node waits until it has it too', async () => {
  let applied = '19';
  const view: View = {
    ...viewOf({ head: at('8', 'head'), logNewest: '1D' }),
    applied: () => applied,
    reach: (_channel, position) => {
      applied = position;
      return Promise.resolve(true);
    },
  };
  const start = await findStart({ view, channel: 'chat:1', turns }, at('C', 'head'));
  assert.ok(start.ok && start.resumed === true);
  assert.equal(start.place, at('C', 'head'));
});
