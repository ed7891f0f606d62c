import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Feed } from '../view/view.ts';
import { findFeedStart } from './feed-start.ts';

const BASE = 'epoch1.12.aaaa';
const NEWEST = 'epoch1.15.bbbb';

/** A feed from position 2 to 5, on a log that has what is said. */
function feedOf(
  known: {
    readonly logNewest?: string;
    readonly reaches?: boolean;
    readonly tag?: string;
    readonly baseIsFinal?: boolean;
  } = {},
): Feed {
  const never = (): never => assert.fail('a start reads no page');
  return {
    epoch: 'epoch1',
    applied: '15',
    baseIsFinal: known.baseIsFinal ?? true,
    base: () => Promise.resolve(BASE),
    newest: () => Promise.resolve(NEWEST),
    logNewest: () => Promise.resolve(known.logNewest ?? '15'),
    reach: () => Promise.resolve(known.reaches ?? false),
    tagAt: () => Promise.resolve(known.tag),
    lagBehind: never,
    read: never,
    follow: never,
  };
}

test('FEED-4 each step of a start is decided by what the node and its log hold', async () => {
  const table: readonly (readonly [
    after: string,
    known: Parameters<typeof feedOf>[0],
    place: string,
    reason?: string,
  ])[] = [
    ['oldest', {}, BASE],
    ['now', {}, NEWEST],
    ['epoch2.13.cccc', {}, BASE, 'epoch'],
    ['epoch1.11.cccc', { tag: 'cccc' }, BASE, 'trimmed'],
    [BASE, { tag: 'aaaa' }, BASE],
    ['epoch1.13.cccc', { tag: 'cccc' }, 'epoch1.13.cccc'],
    ['epoch1.13.zzzz', { tag: 'cccc' }, 'epoch1.13.zzzz'],
    ['epoch1.13.cccc', {}, 'epoch1.13.cccc'],
    ['epoch1.13.cccc', { tag: 'dddd' }, BASE, 'diverged'],
    // The log was rewound: its newest record is, or is not, the one whose tag the place has.
    ['epoch1.17.bbbb', {}, NEWEST],
    ['epoch1.17.cccc', {}, BASE, 'diverged'],
    ['epoch1.17.zzzz', {}, BASE, 'diverged'],
    ['epoch1.17.cccc', { logNewest: '18', reaches: true, tag: 'cccc' }, 'epoch1.17.cccc'],
  ];
  for (const [after, known, place, reason] of table) {
    const expected = reason === undefined ? { place } : { place, reason };
    assert.deepEqual(await findFeedStart(feedOf(known), after), expected, after);
  }
});

test('FEED-4 below a base that is not final there is more: behind, never a gap', async () => {
  for (const after of ['oldest', 'epoch2.13.cccc', 'epoch1.11.cccc', 'epoch1.13.dddd', 'epoch1.17.cccc']) {
    const feed = feedOf({ tag: 'cccc', baseIsFinal: false });
    await assert.rejects(findFeedStart(feed, after), { code: 'behind', retryMs: 1_000 }, after);
  }
  for (const [after, place] of [
    ['now', NEWEST],
    ['epoch1.13.cccc', 'epoch1.13.cccc'],
  ] as const)
    assert.deepEqual(await findFeedStart(feedOf({ tag: 'cccc', baseIsFinal: false }), after), { place });
});

test('FEED-4 while the log cannot be asked, a place that is newer than this node is behind', async () => {
  const feed = { ...feedOf(), logNewest: () => Promise.resolve(undefined) };
  await assert.rejects(findFeedStart(feed, 'epoch1.17.cccc'), { code: 'behind', retryMs: 1_000 });
});

test('FEED-4 a place that the log has and this node has not is waited for, then refused: behind', async () => {
  await assert.rejects(findFeedStart(feedOf({ logNewest: '18' }), 'epoch1.17.cccc'), {
    code: 'behind',
    retryMs: 1_000,
  });
  await assert.rejects(findFeedStart(feedOf(), 'last:3'), { code: 'bad_cursor' });
});
