import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Sums } from './proof.ts';
import type { DemoStatus, NodeStatus } from './status.ts';
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
const up: NodeStatus = { state: 'up', pid: 7, restarts: 0, sessions: 0, instances: [] };
const down: NodeStatus = { state: 'down', restarts: 0, sessions: 0, instances: [] };
const one = (node: NodeStatus): DemoStatus => ({ nodes: [node] });

function tell() {
  const said: (readonly [string, Tone | undefined])[] = [];
  return { said, story: new Story((text, tone) => said.push([text, tone])) };
}

test('while records flow and the counters meet, the bar is green', () => {
  const { story } = tell();
  story.onStatus(one(up), 0);
  assert.equal(story.judge({ nowMs: 10, waiting: 1, sums, metMs: undefined }).tone, 'wait');
  assert.equal(story.judge({ nowMs: 500, waiting: 1, sums, metMs: 400 }).tone, 'good');
  assert.deepEqual(story.judge({ nowMs: 5_000, waiting: 1, sums, metMs: 400 }), {
    tone: 'wait',
    text: 'Catching up …',
  });
});

test('an outage ends with how many waited and how long it took, once the counters have met again', () => {
  const { story, said } = tell();
  story.onStatus(one(down), 1_000);
  assert.deepEqual(story.judge({ nowMs: 1_300, waiting: 37, sums, metMs: 990 }), {
    tone: 'away',
    text: 'The server is dead. 37 records wait here.',
  });
  story.onStatus(one({ ...down, state: 'starting', restarts: 1 }), 1_400);
  story.onStatus(one({ ...up, restarts: 1 }), 1_800);
  assert.equal(story.judge({ nowMs: 1_900, waiting: 12, sums, metMs: 990 }).tone, 'wait');
  assert.equal(story.isOutage, true);
  const text = 'Nothing lost: 37 waiting records stored once, 0 gaps, 0 duplicates, back in 0.8 s.';
  assert.deepEqual(story.judge({ nowMs: 2_100, waiting: 0, sums, metMs: 2_050 }), { tone: 'good', text });
  assert.deepEqual(said.at(-1), [text, 'good']);
  assert.equal(story.isOutage, false);
  assert.equal(story.judge({ nowMs: 3_000, waiting: 0, sums, metMs: 2_950 }).text, text, 'it stays for a while');
  assert.match(story.judge({ nowMs: 90_000, waiting: 0, sums, metMs: 89_950 }).text, /^Written = stored = seen/);
});

test('how long the counters took to meet after all was back is said where a person has waited for it', () => {
  const { story } = tell();
  story.onStatus(one(down), 1_000);
  story.judge({ nowMs: 1_300, waiting: 900, sums, metMs: 990 });
  story.onStatus(one(up), 46_000);
  assert.equal(story.judge({ nowMs: 60_000, waiting: 400, sums, metMs: 990 }).tone, 'wait');
  assert.match(
    story.judge({ nowMs: 75_800, waiting: 0, sums, metMs: 75_000 }).text,
    / back in 45\.0 s, all stored and seen 29\.8 s later\.$/,
  );
});

test('a node has died: that the rest serves is said of what was written since then', () => {
  const { story } = tell();
  story.onStatus(nodes(up, down, up), 1_000);
  assert.match(story.judge({ nowMs: 1_100, waiting: 0, sums, metMs: 990 }).text, /move to another node/);
  assert.match(story.judge({ nowMs: 1_200, waiting: 0, sums, metMs: 1_010 }).text, /the rest serves/);
});

test('a second death before the counters have met is the same outage', () => {
  const { story, said } = tell();
  story.onStatus(one(down), 1_000);
  story.onStatus(one(up), 2_000);
  story.judge({ nowMs: 2_001, waiting: 20, sums, metMs: 900 });
  story.onStatus(one(down), 2_010);
  assert.equal(story.judge({ nowMs: 2_200, waiting: 44, sums, metMs: 2_005 }).tone, 'away');
  story.onStatus(one(up), 3_000);
  assert.match(
    story.judge({ nowMs: 3_300, waiting: 0, sums, metMs: 3_200 }).text,
    /^Nothing lost: 44 .* back in 2\.0 s\.$/,
  );
  assert.equal(said.filter(([text]) => text.startsWith('The server is dead')).length, 2);
});

test('a server that dies while the network is cut: it is over when both are back', () => {
  const { story } = tell();
  story.onCable(true, 0);
  story.onStatus(one(down), 100);
  story.onCable(false, 200);
  assert.match(story.judge({ nowMs: 300, waiting: 1, sums, metMs: 0 }).text, /^The server is dead. 1 record waits/);
  story.onStatus(one(up), 1_000);
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

const nodes = (...all: readonly NodeStatus[]): DemoStatus => ({ nodes: all });
const redis = { name: 'redis', place: '127.0.0.1:6379', state: 'up', isOwn: true } as const;

test('one of several nodes dies: the others serve, the bar stays green, and says what came of it', () => {
  const { story, said } = tell();
  story.onStatus(nodes(up, up, up), 0);
  assert.deepEqual(said, []);
  story.onStatus(nodes(up, down, up), 1_000);
  assert.equal(said.at(-1)?.[0], 'Node 2 is dead: kill -9. Its clients move to the others.');
  assert.equal(story.isAway, false);
  assert.deepEqual(story.judge({ nowMs: 2_200, waiting: 5, sums, metMs: 990 }), {
    tone: 'wait',
    text: 'Node 2 is dead. Its clients move to another node …',
  });
  assert.deepEqual(story.judge({ nowMs: 2_400, waiting: 0, sums, metMs: 2_390 }), {
    tone: 'good',
    text: 'Node 2 is dead; the rest serves. Written = stored = seen. 0 gaps, 0 duplicates.',
  });
  story.onStatus(nodes(up, { ...down, state: 'starting' }, up), 2_500);
  story.onStatus(nodes(up, { ...up, pid: 9 }, up), 3_000);
  assert.match(said.at(-1)?.[0] ?? '', /^Node 2 is back as pid 9\./);
  assert.match(
    story.judge({ nowMs: 3_100, waiting: 0, sums, metMs: 3_090 }).text,
    /^Nothing lost: 5 .* back in 2\.0 s\.$/,
  );
});

test('a node is paused and goes on; a node that is behind, or whose log is down, serves', () => {
  const { story, said } = tell();
  story.onStatus(nodes(up, { ...up, state: 'paused' }), 0);
  story.onStatus(nodes(up, { ...up, state: 'silent' }), 100);
  assert.match(story.judge({ nowMs: 200, waiting: 0, sums, metMs: 150 }).text, /^Node 2 is paused; the rest serves/);
  story.onStatus(nodes({ ...up, state: 'log down' }, { ...up, state: 'behind' }), 300);
  assert.deepEqual(
    said.map(([text]) => text),
    [
      'Node 2 is paused: SIGSTOP. The balancer will notice that it does not answer.',
      'Node 2 goes on where it was paused.',
    ],
  );
  story.onStatus(nodes({ ...up, state: 'paused' }, up, down), 350);
  const two = story.judge({ nowMs: 360, waiting: 0, sums, metMs: 355 });
  assert.match(two.text, /^Node 1 is paused, node 3 is dead; the rest serves/);
  story.onStatus(nodes({ ...up, state: 'paused' }, down), 400);
  assert.equal(story.judge({ nowMs: 500, waiting: 2, sums, metMs: 300 }).text, 'No node is up. 2 records wait here.');
});

test('without its broker nothing can be stored, whether it was killed or cut off', () => {
  for (const [isOwn, what] of [
    [true, 'The broker is dead'],
    [false, 'The broker is cut off'],
  ] as const) {
    const { story, said } = tell();
    const broker = { ...redis, isOwn };
    story.onStatus({ nodes: [up, up], broker }, 0);
    story.onStatus({ nodes: [up, up], broker: { ...broker, state: 'down' } }, 1_000);
    assert.ok(said.some(([text]) => text.startsWith(`${what}: `)));
    assert.equal(story.isAway, true);
    const judged = story.judge({ nowMs: 1_500, waiting: 10, sums, metMs: 900 });
    assert.deepEqual(judged, { tone: 'away', text: `${what}. 10 records wait here.` });
    story.onStatus({ nodes: [up, up], broker: { ...broker, state: 'starting' } }, 2_000);
    assert.equal(story.isAway, true, 'not before it serves');
    story.onStatus({ nodes: [up, up], broker }, 3_000);
    assert.match(said.at(-1)?.[0] ?? '', /^The broker is back/);
    assert.match(
      story.judge({ nowMs: 4_000, waiting: 0, sums, metMs: 3_900 }).text,
      /^Nothing lost: 10 .* back in 2\.0 s, all stored and seen 1\.0 s later\.$/,
    );
  }
});
