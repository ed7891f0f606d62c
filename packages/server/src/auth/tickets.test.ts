import assert from 'node:assert/strict';
import { mkdtempDisposable, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { TidewayError, timing } from '@tideway/protocol';
import * as fc from 'fast-check';
import { nodeEnv } from '../env.ts';
import { isAllowed } from './allow.ts';
import { type Allow, type Identity, permissionWords } from './identity.ts';
import { createHeldEnv } from './testing/held-env.ts';
import { createTickets, openTicketKey, sharedTicketKey } from './tickets.ts';

const key = Buffer.alloc(32, 7);
const ann: Identity = { kind: 'user', user: 'ann', roles: ['member'] };
const channels = ['chat:42', 'ticker:gold'];

function made(env = createHeldEnv()) {
  return { env, tickets: createTickets({ key, env }) };
}

describe('a ticket', () => {
  test('is its user again, for the channels it was made for, any number of times', () => {
    const { env, tickets } = made();
    const { ticket, expiresInMs } = tickets.create({ identity: ann, channels });
    assert.equal(expiresInMs, timing.ticketMs);
    for (const asked of [channels, [...channels].reverse(), [...channels, ...channels], ['chat:42']]) {
      const identity = tickets.verify(ticket, asked);
      assert.equal(identity.kind, 'user');
      assert.equal(identity.user, 'ann');
      assert.deepEqual(identity.roles, ['member']);
      assert.equal(identity.expiresAtMs, env.now() + timing.ticketMs);
    }
  });

  test('can read, and nothing else', () => {
    const { tickets } = made();
    const { allow } = tickets.verify(tickets.create({ identity: ann, channels }).ticket, channels);
    for (const channel of channels) {
      const may = permissionWords.filter((permission) => isAllowed(allow, permission, channel));
      assert.deepEqual(may, ['subscribe', 'history']);
    }
    assert.equal(isAllowed(allow, 'subscribe', 'chat:43'), false);
  });

  test('keeps the name of a key, and that this is development', () => {
    const { tickets } = made();
    for (const identity of [
      { kind: 'key', keyName: 'billing', roles: [] },
      { kind: 'anonymous', roles: [], development: true },
    ] as const satisfies Identity[]) {
      const {
        allow: _,
        expiresAtMs: __,
        ...rest
      } = tickets.verify(tickets.create({ identity, channels }).ticket, channels);
      assert.deepEqual(rest, identity);
    }
  });

  test('is for these channels only (HTTP-9)', () => {
    const { tickets } = made();
    const { ticket } = tickets.create({ identity: ann, channels });
    for (const asked of [
      ['chat:43'],
      [...channels, 'chat:43'],
      ['chat:42', 'chat:43'],
      ['chat:42,ticker:gold'],
      ['__proto__:1'],
      [''],
    ]) {
      assert.throws(() => tickets.verify(ticket, asked), { code: 'forbidden' });
    }
  });

  test('is for 1–16 channels', () => {
    const { tickets } = made();
    const many = Array.from({ length: 17 }, (_, n) => `chat:${n}`);
    assert.throws(() => tickets.create({ identity: ann, channels: many }), /1–16 channels, got 17/);
    assert.throws(() => tickets.create({ identity: ann, channels: [] }), /got 0/);
    tickets.create({ identity: ann, channels: many.slice(1) });
  });

  test('ends after an hour, or with the token it was made from', () => {
    const { env, tickets } = made();
    const hour = tickets.create({ identity: ann, channels });
    const short = tickets.create({ identity: { ...ann, expiresAtMs: env.now() + 60_000 }, channels });
    assert.equal(short.expiresInMs, 60_000);
    env.advance(59_999);
    tickets.verify(short.ticket, channels);
    env.advance(1);
    assert.throws(() => tickets.verify(short.ticket, channels), /expired/);
    env.advance(timing.ticketMs - 60_000);
    assert.throws(() => tickets.verify(hour.ticket, channels), /expired/);
    const late = tickets.create({ identity: { ...ann, expiresAtMs: env.now() - 1 }, channels });
    assert.equal(late.expiresInMs, 0);
    assert.throws(() => tickets.verify(late.ticket, channels), /expired/);
  });

  test('is revoked with its user, and only those made before', () => {
    const { env, tickets } = made();
    const before = tickets.create({ identity: ann, channels }).ticket;
    const other = tickets.create({ identity: { ...ann, user: 'bob' }, channels }).ticket;
    const nobody = tickets.create({ identity: { kind: 'anonymous', roles: [] }, channels }).ticket;
    tickets.revoke('ann');
    assert.throws(() => tickets.verify(before, channels), /revoked/);
    tickets.verify(other, channels);
    tickets.verify(nobody, channels);
    env.advance(1);
    tickets.verify(tickets.create({ identity: ann, channels }).ticket, channels);
  });

  test('of somebody is revoked at last, when more users are revoked than are remembered', () => {
    const { env, tickets } = made();
    const before = tickets.create({ identity: ann, channels }).ticket;
    for (let n = 0; n <= 10_000; n++) tickets.revoke(`user-${n}`);
    assert.throws(() => tickets.verify(before, channels), /revoked/);
    env.advance(1);
    tickets.verify(tickets.create({ identity: ann, channels }).ticket, channels);
  });

  test('fits into a URL, also for 16 channels and a user of 255 bytes', () => {
    const { tickets } = made();
    const many = Array.from({ length: 16 }, (_, n) => `chat:${'x'.repeat(190)}${n}`);
    const { ticket } = tickets.create({ identity: { ...ann, user: 'é'.repeat(127) }, channels: many });
    assert.ok(ticket.length < 1_024, String(ticket.length));
    assert.match(ticket, /^[\w-]+\.[\w-]+$/);
  });
});

describe('a ticket that was tampered with', () => {
  const { tickets } = made();
  const { ticket } = tickets.create({ identity: ann, channels });
  const refused = (text: string) =>
    assert.throws(
      () => tickets.verify(text, channels),
      (error: TidewayError) => {
        assert.ok(error instanceof TidewayError);
        assert.equal(error.code, 'unauthenticated');
        assert.ok(!error.message.includes(text) || text.length < 4);
        return true;
      },
    );

  test('in any one character is refused', () => {
    fc.assert(
      fc.property(fc.nat(ticket.length - 1), fc.constantFrom(...Array.from('AZaz09-_.=')), (at, character) => {
        fc.pre(ticket[at] !== character);
        refused(ticket.slice(0, at) + character + ticket.slice(at + 1));
      }),
    );
  });

  test('by cutting, lengthening or other claims is refused', () => {
    const [body, mac] = ticket.split('.') as [string, string];
    const claims = JSON.parse(Buffer.from(body, 'base64url').toString('utf8')) as Record<string, unknown>;
    const forged = Buffer.from(JSON.stringify({ ...claims, u: 'bob' })).toString('base64url');
    for (const text of [
      '',
      '.',
      `${body}.`,
      `.${mac}`,
      body,
      `${ticket}A`,
      `${ticket}.`,
      `${ticket}=`,
      ` ${ticket}`,
      `${forged}.${mac}`,
      `${mac}.${body}`,
      `${ticket}.${mac}`,
    ]) {
      refused(text);
    }
  });

  test('whatever it is: the answer is unauthenticated', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.base64String(),
          fc.tuple(fc.base64String(), fc.base64String()).map((two) => two.join('.')),
        ),
        refused,
      ),
    );
  });

  test('or was made by another server is refused', () => {
    const other = createTickets({ key: Buffer.alloc(32, 8), env: createHeldEnv() });
    refused(other.create({ identity: ann, channels }).ticket);
  });
});

test('nodes that are configured with the same secret sign alike, and with a key of its own each does not', () => {
  const secret = 's'.repeat(32);
  const own = sharedTicketKey({ ticketSecret: secret }) as Uint8Array;
  assert.deepEqual(sharedTicketKey({ ticketSecret: secret, jwt: { secret: 'j'.repeat(32) } }), own);
  assert.deepEqual(sharedTicketKey({ jwt: { secret } }), own);
  assert.equal(own.length, 32);
  assert.notDeepEqual(Buffer.from(own), Buffer.from(secret));
  assert.notDeepEqual(sharedTicketKey({ ticketSecret: 't'.repeat(32) }), own);
  assert.equal(sharedTicketKey({ jwt: { publicKey: 'a key that everybody has' } }), undefined);
});

test('a ticket never widens its identity: what it may, its maker may', () => {
  const globs = fc.constantFrom('*', 'chat:*', 'chat:42', 'ticker:*');
  const anyAllow = fc.option(fc.dictionary(globs, fc.subarray([...permissionWords])) as fc.Arbitrary<Allow>, {
    nil: undefined,
  });
  fc.assert(
    fc.property(anyAllow, (allow) => {
      const { tickets } = made();
      const identity: Identity = { ...ann, ...(allow && { allow }) };
      const narrowed = tickets.verify(tickets.create({ identity, channels }).ticket, channels);
      for (const channel of [...channels, 'chat:43']) {
        for (const permission of permissionWords) {
          const isReading = permission === 'subscribe' || permission === 'history';
          const expected = isReading && channels.includes(channel) && isAllowed(allow, permission, channel);
          assert.equal(isAllowed(narrowed.allow, permission, channel), expected);
        }
      }
    }),
  );
});

describe('the key of tickets', () => {
  test('stays in the data folder, for its owner only, so that tickets survive a restart', async (t) => {
    const folder = await mkdtempDisposable(join(tmpdir(), 'tideway-tickets-'));
    t.after(() => folder.remove());
    const data = join(folder.path, 'data');
    const env = createHeldEnv();
    const before = createTickets({ key: await openTicketKey(data, env), env });
    const { ticket } = before.create({ identity: ann, channels });
    const after = createTickets({ key: await openTicketKey(data, env), env });
    assert.equal(after.verify(ticket, channels).user, 'ann');
    assert.deepEqual(await readdir(data), ['ticket.key']);
    if (process.platform !== 'win32') assert.equal((await stat(join(data, 'ticket.key'))).mode & 0o777, 0o600);
  });

  test('is one, when several start at once on a new folder', async (t) => {
    const folder = await mkdtempDisposable(join(tmpdir(), 'tideway-tickets-'));
    t.after(() => folder.remove());
    const keys = await Promise.all(Array.from({ length: 8 }, () => openTicketKey(folder.path, nodeEnv)));
    const onDisk = await readFile(join(folder.path, 'ticket.key'));
    for (const one of keys) assert.deepEqual(Buffer.from(one), onDisk);
  });

  test('that is damaged is refused, and the message says what to do', async (t) => {
    const folder = await mkdtempDisposable(join(tmpdir(), 'tideway-tickets-'));
    t.after(() => folder.remove());
    await writeFile(join(folder.path, 'ticket.key'), 'short');
    await assert.rejects(openTicketKey(folder.path, nodeEnv), /has 5 bytes instead of 32; delete it/);
  });

  test('is of this process only where there is no folder', async () => {
    const [a, b] = [await openTicketKey(undefined, nodeEnv), await openTicketKey(undefined, nodeEnv)];
    assert.equal(a.length, 32);
    assert.notDeepEqual(a, b);
  });
});
