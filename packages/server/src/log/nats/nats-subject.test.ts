import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { NatsNames, subjectToken, tokenText } from './nats-subject.ts';

test('ordinary names stand in a subject as they are, what a token must not hold is escaped', () => {
  for (const name of ['chat:room-1', 'game:a/b~c@d=e+f,g_h', '$system:vitals', 'chat:ü']) {
    assert.equal(subjectToken(name), name);
  }
  assert.equal(subjectToken('chat:room.1'), 'chat:room%2E1');
  assert.equal(subjectToken('a *>%\t\u007f'), 'a%20%2A%3E%25%09%7F');
});

test('every text comes back from its token, which is one token without wildcards or spaces', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (text) => {
      const token = subjectToken(text);
      assert.equal(tokenText(token), text);
      assert.doesNotMatch(token, /[.*>\s]/);
    }),
  );
});

test('a plain client may escape more than it must; what is no escape is no channel', () => {
  assert.equal(tokenText('chat%3Aroom'), 'chat:room');
  assert.equal(tokenText('chat:50%'), undefined);
  assert.equal(tokenText('chat:%ff'), undefined);
});

test('a partition takes one token behind its number, so neither constants nor signals are records', () => {
  const names = new NatsNames('tideway');
  assert.equal(names.stream(3), 'tideway-3');
  assert.equal(names.streamSubjects(3), 'tideway.3.*');
  assert.equal(names.channelSubject(3, 'chat:a.b'), 'tideway.3.chat:a%2Eb');
  assert.equal(names.channelOf(3, 'tideway.3.chat:a%2Eb'), 'chat:a.b');
  assert.equal(names.constantsSubject, 'tideway.constants');
  assert.equal(names.signalSubject('node.7'), 'tideway.signal.node%2E7');
});
