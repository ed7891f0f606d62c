import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ServerStatus } from './page.ts';
import type { Sums } from './proof.ts';
import { Story, type Tone } from './story.ts';

const sums: Sums = {
  written: 100,
  stored: 100,
  seen: [100, 100, 100],
  gaps: 0,
  duplicates: 0,
  repeated: 0,
  orders: ['9f3a', '9f3a', '9f3a'],
  violation: undefined,
};
const up: ServerStatus = { state: 'up', pid: 7, restarts: 0 };
const down: ServerStatus = { state: 'down', restarts: 0 };

function tell() {
  const said: (readonly [string, Tone | undefined])[] = [];
  return { said, story: new Story((text, tone) => said.push([text, tone])) };
}

test('while records flow and the counters meet, the bar is green', () => {
  const { story } = tell();
  story.onServer(up, 0);
  assert.equal(story.judge({ nowMs: 10, waiting: 1, sums, metMs: undefined }).tone, 'wait');
  assert.equal(story.judge({ nowMs: 500, waiting: 1, sums, metMs: 400 }).tone, 'good');
  assert.deepEqual(story.judge({ nowMs: 5_000, waiting: 1, sums, metMs: 400 }), {
    tone: 'wait',
    text: 'Catching up …',
  });
});

test('an outage ends with how many waited and how long it took, once the counters have met again', () => {
  const { story, said } = tell();
  story.onServer(down, 1_000);
  assert.deepEqual(story.judge({ nowMs: 1_300, waiting: 37, sums, metMs: 990 }), {
    tone: 'away',
    text: 'The server is dead. 37 records wait here.',
  });
  story.onServer({ state: 'starting', restarts: 1 }, 1_400);
  story.onServer({ ...up, restarts: 1 }, 1_800);
  assert.equal(story.judge({ nowMs: 1_900, waiting: 12, sums, metMs: 990 }).tone, 'wait');
  assert.equal(story.isOutage, true);
  const text = 'Nothing lost: 37 waiting records stored once, 0 gaps, 0 duplicates, back in 0.8 s.';
  assert.deepEqual(story.judge({ nowMs: 2_100, waiting: 0, sums, metMs: 2_050 }), { tone: 'good', text });
  assert.deepEqual(said.at(-1), [text, 'good']);
  assert.equal(story.isOutage, false);
  assert.equal(story.judge({ nowMs: 3_000, waiting: 0, sums, metMs: 2_950 }).text, text, 'it stays for a while');
  assert.match(story.judge({ nowMs: 90_000, waiting: 0, sums, metMs: 89_950 }).text, /^Written = stored = seen/);
});

test('a second death before the counters have met is the same outage', () => {
  const { story, said } = tell();
  story.onServer(down, 1_000);
  story.onServer(up, 2_000);
  story.judge({ nowMs: 2_001, waiting: 20, sums, metMs: 900 });
  story.onServer(down, 2_010);
  assert.equal(story.judge({ nowMs: 2_200, waiting: 44, sums, metMs: 2_005 }).tone, 'away');
  story.onServer(up, 3_000);
  assert.match(
    story.judge({ nowMs: 3_300, waiting: 0, sums, metMs: 3_200 }).text,
    /^Nothing lost: 44 .* back in 2\.0 s\.$/,
  );
  assert.equal(said.filter(([text]) => text.startsWith('The server is dead')).length, 2);
});

test('a server that dies while the network is cut: it is over when both are back', () => {
  const { story } = tell();
  story.onCable(true, 0);
  story.onServer(down, 100);
  story.onCable(false, 200);
  assert.match(story.judge({ nowMs: 300, waiting: 1, sums, metMs: 0 }).text, /^The server is dead. 1 record waits/);
  story.onServer(up, 1_000);
  assert.match(story.judge({ nowMs: 1_100, waiting: 0, sums, metMs: 1_050 }).text, /back in 1\.0 s/);
});

test('a broken promise is red, is said once, and stays', () => {
  const { story, said } = tell();
  const violation = { kind: 'lost', channel: 'demo:x', cursor: 'e.12.abcd', text: 'SSE misses e.12.abcd' } as const;
  const moment = { nowMs: 10, waiting: 0, sums: { ...sums, violation }, metMs: 5 };
  assert.deepEqual(story.judge(moment), { tone: 'bad', text: 'Broken: SSE misses e.12.abcd' });
  assert.equal(story.judge(moment).tone, 'bad');
  assert.deepEqual(said, [['Broken: SSE misses e.12.abcd', 'bad']]);
});

test('green needs one order, and a declared gap is never hidden', () => {
  const { story } = tell();
  const at = { nowMs: 10, waiting: 0, metMs: 5 };
  assert.equal(story.judge({ ...at, sums: { ...sums, orders: ['a', 'b', 'a'] } }).tone, 'bad');
  assert.match(story.judge({ ...at, sums: { ...sums, gaps: 1 } }).text, /gap/);
});
