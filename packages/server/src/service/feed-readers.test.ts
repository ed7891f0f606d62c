import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodePositionNumber, type RecordLine } from '@tideway/protocol';
import { FeedReaders } from './feed-readers.ts';
import { slotOf } from './group-state.ts';
import type { FeedAnswer, NodeCalls } from './node-calls.ts';
import { HeldEnv, settle } from './testing/held-env.ts';

const place = (n: number): string => `epoch1.${encodePositionNumber(n)}.tag_`;
const line = (channel: string, n: number): RecordLine => ({ channel, cursor: place(n), prev: place(0), data: n });

type Query = Parameters<NodeCalls['feed']>[0];

function makeReaders() {
  const env = new HeldEnv();
  const asked: { readonly query: Query; readonly answer: (page: Partial<FeedAnswer>) => Promise<void> }[] = [];
  const calls = {
    feed: (query: Query, signal?: AbortSignal) =>
      new Promise<FeedAnswer>((resolve, reject) => {
        signal?.addEventListener('abort', () => reject(new Error('over')));
        const answer = async (page: Partial<FeedAnswer>): Promise<void> => {
          resolve({ records: [], next: query.after, end: true, lag: 0, partitions: 1, bytes: 1, ...page });
          await settle();
        };
        asked.push({ query, answer });
      }),
  } as unknown as NodeCalls;
  const heard: string[] = [];
  const readers = new FeedReaders({
    env,
    calls,
    globs: ['a:*'],
    onRecord: ({ channel, data }, { slot }) => heard.push(`${channel} ${String(data)} in ${slot}`),
    onReached: (slots, _partition, at) => heard.push(`${[...slots].join('+')} at ${at.slice(7, -5)}`),
    onRestart: (slots, _partition, at) => heard.push(`${[...slots].join('+')} again from ${at.slice(7, -5)}`),
    onGap: ({ reason, channel }) => heard.push(`gap ${reason} ${channel ?? ''}`.trim()),
    onError: (error) => heard.push(String(error)),
    room: () => Promise.resolve(),
  });
  const take = (): string[] => heard.splice(0);
  const next = async (): Promise<(typeof asked)[number]> => {
    await settle();
    const found = asked.shift();
    assert.ok(found, 'a page is asked for');
    return found;
  };
  return { env, readers, asked, take, next };
}

const [A, B] = [slotOf('a:1'), slotOf('a:2')];

test('slots at one place are read by one reader; one taken over from elsewhere catches up, and is read with the others', async () => {
  const { readers, asked, take, next } = makeReaders();
  readers.open(A, [place(5)]);
  const first = await next();
  assert.deepEqual([first.query.after, first.query.waitSeconds], [place(5), 25]);
  readers.open(B, [place(2)]);
  const behind = await next();
  assert.deepEqual([behind.query.after, behind.query.waitSeconds], [place(2), 0], 'who is behind does not wait');
  await behind.answer({ records: [line('a:1', 3), line('a:2', 4), line('a:2', 6)], next: place(6) });
  assert.deepEqual(take(), [`a:2 4 in ${B}`, `${B} at ${place(5).slice(7, -5)}`], 'up to the place of the one ahead');
  assert.equal(asked.length, 0, 'and that one reads on');
  await first.answer({ records: [line('a:2', 6), line('a:1', 7)], next: place(7) });
  assert.deepEqual(take(), [`a:2 6 in ${B}`, `a:1 7 in ${A}`, `${A}+${B} at ${place(7).slice(7, -5)}`]);
  readers.close(B);
  const rest = await next();
  await rest.answer({ records: [line('a:2', 8), line('a:1', 9)], next: place(9) });
  assert.deepEqual(take(), [`a:1 9 in ${A}`, `${A} at ${place(9).slice(7, -5)}`]);
  readers.stop();
});

test('a history that is over begins again; what is no longer kept is told to whom it concerns', async () => {
  const { readers, take, next } = makeReaders();
  readers.open(A, [place(5)]);
  await (
    await next()
  ).answer({
    records: [line('a:1', 2)],
    next: place(2),
    gaps: [
      { reason: 'diverged', place: place(1) },
      { reason: 'trimmed', channel: 'a:2', cursor: place(1) },
    ],
  });
  const at = (n: number): string => place(n).slice(7, -5);
  assert.deepEqual(take(), [`${A} again from ${at(1)}`, 'gap diverged', `a:1 2 in ${A}`, `${A} at ${at(2)}`]);
  await (
    await next()
  ).answer({
    next: place(4),
    gaps: [
      { reason: 'trimmed', place: place(3) },
      { reason: 'trimmed', channel: 'a:1' },
    ],
  });
  assert.deepEqual(take(), ['gap trimmed', 'gap trimmed a:1', `${A} at ${at(4)}`]);
  readers.stop();
});

test('the lag is that of each partition’s last reader, and a failed page is asked for again', async () => {
  const { env, readers, take, next } = makeReaders();
  readers.open(A, [place(1), place(1)]);
  const [one, two] = [await next(), await next()];
  await one.answer({ next: place(2), lag: 7, end: false });
  await two.answer({ next: place(2), lag: 5, end: false });
  assert.equal(readers.lag, 12);
  take();
  const again = await next();
  await again.answer({ records: undefined as never });
  assert.match(take()[0] ?? '', /TypeError/);
  await env.pass(100);
  await next();
  const repeated = await next();
  assert.equal(repeated.query.after, place(2));
  readers.stop();
});
