import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Message } from './message.ts';
import { ChannelTemplate, Template, Unmapped, type WordName } from './template.ts';

const all: readonly WordName[] = ['key', 'subject', 'routingKey', 'header', 'body', 'digest'];

const message: Message = {
  key: Buffer.from('Général 7'),
  subject: 'orders.eu.17',
  headers: new Map([
    ['x-tenant', 'acme'],
    ['x.dotted', 'yes'],
    ['empty', ''],
  ]),
  body: Buffer.from('{}'),
  id: 'topic/0/1',
  place: 'here',
};
const json = { id: 42, user: { name: 'ann', tags: ['x', 'y'] }, isPaid: true, none: null };
const from = { message, json };

describe('a template', () => {
  for (const [template, text] of [
    ['{key}', 'Général 7'],
    ['a {subject} b', 'a orders.eu.17 b'],
    ['{subject.2}/{subject.3}', 'eu/17'],
    ['{routingKey.1}', 'orders'],
    ['{header.x-tenant}-{body.id}', 'acme-42'],
    ['{header.x.dotted}', 'yes'],
    ['{body.user.name}', 'ann'],
    ['{body.user.tags.1}', 'y'],
    ['{body.isPaid}', 'true'],
    ['no words', 'no words'],
  ] as const) {
    test(`${template} gives ${text}`, () => assert.equal(new Template(template, all).textOf(from), text));
  }

  for (const template of [
    '{header.none}',
    '{header.empty}',
    '{body.user}',
    '{body.none}',
    '{body.user.toString}',
    '{subject.4}',
  ]) {
    test(`${template} has no value in this message, and says so`, () => {
      assert.throws(
        () => new Template(`x:${template}`, all).textOf(from),
        (error: unknown) => {
          assert.ok(error instanceof Unmapped);
          assert.equal(error.message, `x:${template}: ${template} has no value in this message`);
          return true;
        },
      );
    });
  }

  test('a key that is not UTF-8 has no value', () => {
    const broken = { message: { ...message, key: Buffer.of(0xff) }, json };
    assert.throws(() => new Template('{key}', all).textOf(broken), Unmapped);
  });

  test('{digest} is the same for what is alike in everything, and for nothing else', () => {
    const digest = (one: Message): string => new Template('{digest}', all).textOf({ message: one, json });
    const { id: _, ...alike } = { ...message, headers: new Map([...message.headers].toReversed()), place: 'there' };
    assert.equal(digest(alike), digest(message));
    for (const other of [
      { key: Buffer.from('k') },
      { subject: 's' },
      { body: Buffer.from('[]') },
      { headers: new Map() },
    ]) {
      assert.notEqual(digest({ ...message, ...other }), digest(message));
    }
  });

  for (const [template, words, why] of [
    ['{kee}', ['key'], '{kee} is not known here; {key} are'],
    ['{key}', ['header'], '{key} is not known here; {header.NAME} are'],
    ['{header}', ['header'], '{header} is not known here; {header.NAME} are'],
    ['{body.}', ['body'], '{body.} is not known here; {body.PATH} are'],
    ['{subject.0}', ['subject'], '{subject.0} is not known here; {subject}, {subject.N} are'],
    ['{key', ['key'], '"{key" has a brace without its other one'],
  ] as const) {
    test(`${template} is refused in words`, () => assert.throws(() => new Template(template, words), new Error(why)));
  }
});

describe('a channel', () => {
  for (const [template, name] of [
    ['order:{key}', 'order:G~C3~A9n~C3~A9ral~207'],
    ['order:{header.x-tenant}/{body.id}', 'order:acme/42'],
    ['order:{subject}', 'order:orders.eu.17'],
    ['order:all', 'order:all'],
  ] as const) {
    test(`${template} is ${name}`, () => assert.equal(new ChannelTemplate(template, all).nameOf(from), name));
  }

  test('one word alone takes its value for the name as it is', () => {
    const template = new ChannelTemplate('{key}', all);
    const named = { message: { ...message, key: Buffer.from('chat:room~20one') }, json };
    assert.equal(template.nameOf(named), 'chat:room~20one');
    assert.throws(() => template.nameOf(from), new Unmapped('{key} is "Général 7", which is no channel\'s name'));
  });

  test('a name that would be too long is none', () => {
    const long = { message: { ...message, key: Buffer.from('x'.repeat(201)) }, json };
    assert.throws(() => new ChannelTemplate('order:{key}', all).nameOf(long), /is no channel's name$/);
  });

  for (const [template, why] of [
    ['orders', '"orders" names no channel: it begins with a namespace and a colon, such as chat:{room}'],
    ['{key}:x', '"{key}:x" names no channel: it begins with a namespace and a colon, such as chat:{room}'],
    ['a:{key}{subject}', '"a:{key}{subject}" names no channel: a segment between slashes holds one parameter at most'],
    ['a:b c', '"a:b c" names no channel: beside {parameters} only the characters of channel names may stand in it'],
  ] as const) {
    test(`${template} is refused in words`, () => {
      assert.throws(() => new ChannelTemplate(template, all), { message: why });
    });
  }
});
