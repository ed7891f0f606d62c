import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { TidewayError } from '@tideway/protocol';
import * as fc from 'fast-check';
import {
  type Allow,
  anonymous,
  anonymousDeveloper,
  type Identity,
  type Permission,
  permissionWords,
} from './identity.ts';
import { createPermissions, type PermissionRules, type Who } from './permissions.ts';

const ann: Identity = { kind: 'user', user: 'ann', roles: ['member'] };
const mod: Identity = { kind: 'user', user: 'mo', roles: ['member', 'moderator'] };
const backend: Identity = { kind: 'key', keyName: 'billing', roles: [] };
const everybody = [anonymous, ann, mod, backend];

function permissions(rules: PermissionRules, more: { otherwise?: PermissionRules } = {}) {
  return createPermissions<PermissionRules>({ namespaces: { chat: rules }, ...more });
}

describe('who', () => {
  const table: readonly [Who | undefined, readonly boolean[]][] = [
    // anonymous, ann, mod, backend
    [undefined, [false, false, false, false]],
    ['anyone', [true, true, true, true]],
    ['user', [false, true, true, true]],
    ['key', [false, false, false, true]],
    [['moderator'], [false, false, true, false]],
    [
      ['moderator', 'member'],
      [false, true, true, false],
    ],
    [[], [false, false, false, false]],
    [({ user }) => user === 'ann', [false, true, false, false]],
  ];
  for (const [who, expected] of table) {
    test(`${typeof who === 'function' ? 'a function' : JSON.stringify(who)} decides for each kind of identity, at once`, () => {
      const { may } = permissions({ append: who });
      assert.deepEqual(
        everybody.map((identity) => may(identity, 'append', 'chat:42')),
        expected,
      );
    });
  }

  test('what one permission allows says nothing about another', () => {
    const { may } = permissions({ subscribe: 'anyone' });
    const allowed = permissionWords.filter((permission) => may(ann, permission, 'chat:42') === true);
    assert.deepEqual(allowed, ['subscribe']);
  });

  test('all that is allowed is told at once, whoever decides it', async () => {
    const { permissionsOf } = permissions({ history: async () => true, signal: 'key', subscribe: 'anyone' });
    assert.deepEqual(await permissionsOf(ann, 'chat:42'), ['subscribe', 'history']);
    const narrowed = { ...ann, allow: { 'chat:4*': ['history', 'append'] as const } };
    assert.deepEqual(await permissionsOf(narrowed, 'chat:42'), ['history']);
    assert.deepEqual(await permissionsOf(ann, 'nope'), []);
  });

  test('a word that is not one, as code without types may give it, lets nobody in', () => {
    const { may } = permissions({ append: 'everyone' as Who });
    assert.deepEqual(
      everybody.map((identity) => may(identity, 'append', 'chat:42')),
      [false, false, false, false],
    );
  });
});

describe('functions', () => {
  test('get identity and channel, and may answer with a promise', async () => {
    const asked: unknown[] = [];
    const { may } = permissions({
      append: async (identity, channel) => {
        asked.push([identity.user, channel]);
        return true;
      },
    });
    const answer = may(ann, 'append', 'chat:42');
    assert.ok(answer instanceof Promise);
    assert.equal(await answer, true);
    assert.deepEqual(asked, [['ann', 'chat:42']]);
  });

  test('count as a yes only when they answer true: a truthy thing is a mistake, not a permission', async () => {
    for (const answer of [undefined, null, 1, 'no', {}, []]) {
      assert.equal(permissions({ append: (() => answer) as never }).may(ann, 'append', 'chat:1'), false);
      assert.equal(await permissions({ append: (async () => answer) as never }).may(ann, 'append', 'chat:1'), false);
    }
  });

  test('that throw or reject let nobody in: the answer is internal, to be tried again', async () => {
    const failures: Who[] = [
      () => {
        throw new Error('no database');
      },
      () => Promise.reject(new Error('no database')),
    ];
    for (const append of failures) {
      await assert.rejects(
        async () => permissions({ append }).may(ann, 'append', 'chat:42'),
        (error: TidewayError) => {
          assert.equal(error.code, 'internal');
          assert.ok(error.retryMs !== undefined);
          assert.doesNotMatch(error.message, /database/);
          return true;
        },
      );
    }
  });
});

describe('limits of every rule', () => {
  test('a namespace that is not listed, or a text that is no channel name, is denied and named so', () => {
    const { may, rules, refusal } = permissions({ append: 'anyone' });
    for (const channel of ['other:1', 'chat', 'chat:', 'chat:a b', 'constructor:1', '__proto__:1', '']) {
      assert.equal(rules(channel), undefined, channel);
      assert.equal(may(backend, 'append', channel), false, channel);
      assert.equal(refusal(backend, 'append', channel).code, 'channel_unknown');
    }
    // Nothing of what there is is told to a stranger.
    assert.equal(refusal(anonymous, 'append', 'other:1').message, 'other:1: there is no namespace "other" here');
  });

  test('admin is never for anonymous clients, whatever the rule says', () => {
    const { may } = permissions({ admin: 'anyone' });
    assert.equal(may(anonymous, 'admin', 'chat:42'), false);
    assert.equal(may(ann, 'admin', 'chat:42'), true);
    assert.equal(permissions({ admin: () => true }).may(anonymous, 'admin', 'chat:42'), false);
  });

  test('nobody writes to the system’s own channels, in development neither', () => {
    const all: PermissionRules = {
      subscribe: 'anyone',
      append: 'anyone',
      signal: 'anyone',
      history: 'anyone',
      admin: 'user',
    };
    const { may, refusal } = createPermissions<PermissionRules>({ namespaces: { $system: all } });
    for (const identity of [...everybody, anonymousDeveloper]) {
      for (const permission of ['append', 'signal', 'admin'] as const)
        assert.equal(may(identity, permission, '$system:vitals'), false);
      const { code, message } = refusal(identity, 'append', '$system:vitals');
      assert.deepEqual([code, message], ['forbidden', "$system:vitals is the server's own: nobody appends there"]);
      assert.equal(may(identity, 'subscribe', '$system:vitals'), true);
    }
  });

  test('in development anyone may do anything on any channel, narrowed by a token as ever', () => {
    const { may } = permissions({}, { otherwise: {} });
    for (const permission of permissionWords) {
      assert.equal(may(anonymousDeveloper, permission, 'chat:42'), true);
      assert.equal(may(anonymousDeveloper, permission, 'whatever:42'), true);
    }
    const narrowed: Identity = { ...anonymousDeveloper, allow: { 'chat:*': ['subscribe'] } };
    assert.equal(may(narrowed, 'subscribe', 'chat:42'), true);
    assert.equal(may(narrowed, 'append', 'chat:42'), false);
    assert.equal(may(anonymousDeveloper, 'append', 'no channel'), false);
  });

  test('a refusal says what, where and to whom, and asks for credentials where none were given (HEL-5)', () => {
    const { refusal } = permissions({});
    assert.equal(refusal(ann, 'append', 'chat:42').code, 'forbidden');
    assert.equal(refusal(ann, 'append', 'chat:42').message, 'append on chat:42 is not allowed to the user ann');
    assert.equal(refusal(backend, 'admin', 'chat:42').message, 'admin on chat:42 is not allowed to the key billing');
    assert.equal(refusal(anonymous, 'append', 'chat:42').code, 'unauthenticated');
    assert.match(refusal(anonymous, 'append', 'chat:42').message, /anonymous clients; no credentials were given/);
  });

  test('history is public where anyone may read it, and nowhere else', () => {
    assert.equal(permissions({ history: 'anyone' }).isPublic('chat:42'), true);
    for (const history of ['user', 'key', ['member'], () => true, undefined] as const) {
      assert.equal(permissions({ history }).isPublic('chat:42'), false);
    }
    assert.equal(permissions({ history: 'anyone' }).isPublic('other:42'), false);
  });
});

const channelName = fc.constantFrom(
  'chat:1',
  'chat:42',
  'chat:team/a',
  'ticker:gold',
  '$system:vitals',
  'unknown:1',
  'bad',
);
const anyWho = fc.option(
  fc.constantFrom<Who>(
    'anyone',
    'user',
    'key',
    ['member'],
    ['moderator'],
    () => true,
    () => false,
  ),
  { nil: undefined },
);
const anyRules = fc.record(
  Object.fromEntries(permissionWords.map((word) => [word, anyWho])),
) as fc.Arbitrary<PermissionRules>;
const anyAllow = fc.dictionary(
  fc.constantFrom('*', 'chat:*', 'chat:42', 'chat:4*', 'ticker:*', '$system:*', 'unknown:*'),
  fc.subarray([...permissionWords]),
) as fc.Arbitrary<Allow>;

test('a token’s allow never widens: with it an identity may at most what it may without', () => {
  fc.assert(
    fc.property(
      anyRules,
      anyRules,
      fc.constantFrom(...everybody, anonymousDeveloper),
      anyAllow,
      fc.constantFrom<Permission>(...permissionWords),
      channelName,
      (chat, ticker, identity, allow, permission, channel) => {
        const { may } = createPermissions<PermissionRules>({ namespaces: { chat, ticker, $system: chat } });
        const without = may(identity, permission, channel);
        const within = may({ ...identity, allow }, permission, channel);
        assert.ok(within === false || without === true);
        const named = Object.entries(allow).some(
          ([glob, words]) =>
            words.includes(permission) &&
            (glob.endsWith('*') ? channel.startsWith(glob.slice(0, -1)) : channel === glob),
        );
        assert.equal(within, without === true && named);
      },
    ),
  );
});
