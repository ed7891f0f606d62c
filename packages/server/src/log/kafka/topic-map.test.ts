import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TopicMap, type KafkaTopic, type TopicAnswer } from './topic-map.ts';

function topic(id: string, leader: number, epoch: number): KafkaTopic {
  return { id, replication: 3, partitions: [{ leader, epoch }] };
}

const has = (one: KafkaTopic): TopicAnswer => new Map([['t', one]]);
const lacks: TopicAnswer = new Map();

function knowing(one: KafkaTopic): TopicMap {
  const map = new TopicMap();
  const round = map.round();
  round.take(has(one));
  round.end();
  return map;
}

test('a newer leader replaces an older one, whatever the order of the answers', () => {
  for (const answers of [
    [topic('a', 1, 5), topic('a', 2, 6)],
    [topic('a', 2, 6), topic('a', 1, 5)],
  ]) {
    const map = knowing(topic('a', 1, 5));
    const round = map.round();
    for (const one of answers) round.take(has(one));
    round.end();
    assert.deepEqual(map.get('t'), topic('a', 2, 6));
  }
});

test('a new topic is known from the first answer that has it, and one that comes later without it takes nothing away', () => {
  const map = new TopicMap();
  const early = map.round();
  const late = map.round();
  late.take(has(topic('a', 1, 0)));
  assert.deepEqual(map.get('t'), topic('a', 1, 0));
  early.take(lacks);
  early.end();
  late.take(lacks);
  late.end();
  assert.deepEqual(map.get('t'), topic('a', 1, 0));
});

test('a topic is gone where nobody knows it any more, not where one broker does not know it', () => {
  const map = knowing(topic('a', 1, 0));
  const some = map.round();
  some.take(lacks);
  some.take(has(topic('a', 1, 0)));
  some.end();
  assert.notEqual(map.get('t'), undefined);
  const none = map.round();
  none.take(lacks);
  assert.notEqual(map.get('t'), undefined, 'the others may know it');
  none.end();
  assert.equal(map.get('t'), undefined);
});

test('a topic that was made again replaces the old one where nobody knows that any more', () => {
  const map = knowing(topic('a', 1, 7));
  const some = map.round();
  some.take(has(topic('b', 2, 0)));
  some.take(has(topic('a', 1, 7)));
  some.end();
  assert.equal(map.get('t')?.id, 'a');
  const all = map.round();
  all.take(lacks);
  all.take(has(topic('b', 2, 0)));
  all.end();
  assert.deepEqual(map.get('t'), topic('b', 2, 0));
});

test('a round in which nobody answers changes nothing', () => {
  const map = knowing(topic('a', 1, 0));
  map.round().end();
  assert.deepEqual(map.get('t'), topic('a', 1, 0));
});
