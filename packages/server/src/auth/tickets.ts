/**
 * Tickets for `EventSource`, which can send no header: one user, one set of channels, an hour at most and never longer
 * than the token they were made from. Stateless, so they survive a restart; they can read, never write, because a URL
 * ends up in logs.
 */
import { createHash, createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import { chmod, link, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { limits, TidewayError, timing } from '@tideway/protocol';
import { type Env, randomId } from '../env.ts';
import { isAllowed } from './allow.ts';
import type { AuthOptions } from './authenticator.ts';
import type { Identity, Permission } from './identity.ts';

export interface Tickets {
  /** The caller has checked that the identity may follow each of the channels. */
  create(request: { readonly identity: Identity; readonly channels: readonly string[] }): {
    readonly ticket: string;
    readonly expiresInMs: number;
  };
  /**
   * The identity behind a ticket, narrowed to reading these channels.
   *
   * @param channels what the URL asks for: all of those the ticket was made for, or some
   * @throws TidewayError `unauthenticated`, or `forbidden` when it was made for other channels
   */
  verify(ticket: string, channels: readonly string[]): Identity;
  /** Every ticket of this user made until now is refused from now on, in this process. */
  revoke(user: string): void;
}

const READING = ['subscribe', 'history'] as const satisfies readonly Permission[];
const KEY_BYTES = 32;
const KEY_FILE = 'ticket.key';
const MARK_BYTES = 6;
/** Users whose revocation is remembered one by one; beyond it all tickets made until then are refused. */
const REVOCATIONS_MAX = 10_000;
/** Longer than the longest ticket with 64 roles of 128 characters. */
const TICKET_LENGTH_MAX = 16 * 1024;

/** What is signed. Short names: it travels in a URL. */
interface Claims {
  readonly k: Identity['kind'];
  readonly u?: string;
  readonly n?: string;
  readonly r: readonly string[];
  /** Made at, ends at, milliseconds since 1970. */
  readonly i: number;
  readonly e: number;
  /** Per channel: its digest, and which of READING remain, one bit each. */
  readonly c: Readonly<Record<string, number>>;
  readonly d?: 1;
}

export function createTickets(options: { readonly key: Uint8Array; readonly env: Env }): Tickets {
  const { key, env } = options;
  const revokedAtMs = new Map<string, number>();
  let allRevokedAtMs = -Infinity;

  const sign = (body: string): Buffer => createHmac('sha256', key).update(body).digest();

  return {
    create({ identity, channels }) {
      const set = setOf(channels);
      if (set.length === 0 || set.length > limits.eventSourceChannels) {
        throw new TidewayError(
          'bad_frame',
          `a ticket is for 1–${limits.eventSourceChannels} channels, got ${set.length}`,
        );
      }
      const now = env.now();
      const expiresInMs = Math.max(0, Math.min(timing.ticketMs, (identity.expiresAtMs ?? Infinity) - now));
      const claims: Claims = {
        k: identity.kind,
        ...(identity.user !== undefined && { u: identity.user }),
        ...(identity.keyName !== undefined && { n: identity.keyName }),
        r: identity.roles,
        i: now,
        e: now + expiresInMs,
        c: Object.fromEntries(set.map((channel) => [digest(channel), bitsOf(identity, channel)])),
        ...(identity.development === true && { d: 1 as const }),
      };
      const body = Buffer.from(JSON.stringify(claims)).toString('base64url');
      return { ticket: `${body}.${sign(body).toString('base64url')}`, expiresInMs };
    },

    verify(ticket, channels) {
      const claims = open(ticket, sign);
      const revoked = Math.max(allRevokedAtMs, revokedAtMs.get(claims.u ?? '') ?? -Infinity);
      if (claims.i <= revoked) throw new TidewayError('unauthenticated', 'the ticket was revoked');
      if (claims.e <= env.now()) {
        throw new TidewayError('unauthenticated', 'the ticket has expired; ask for a new one');
      }
      return {
        kind: claims.k,
        roles: claims.r,
        expiresAtMs: claims.e,
        allow: Object.fromEntries(setOf(channels).map((channel) => [channel, remaining(claims, channel)])),
        ...(claims.u !== undefined && { user: claims.u }),
        ...(claims.n !== undefined && { keyName: claims.n }),
        ...(claims.d === 1 && { development: true as const }),
      };
    },

    revoke(user) {
      const now = env.now();
      for (const [other, atMs] of revokedAtMs) {
        if (atMs > now - timing.ticketMs) break;
        revokedAtMs.delete(other);
      }
      revokedAtMs.delete(user);
      revokedAtMs.set(user, now);
      if (revokedAtMs.size > REVOCATIONS_MAX) {
        revokedAtMs.clear();
        allRevokedAtMs = now;
      }
    },
  };
}

function open(ticket: string, sign: (body: string) => Buffer): Claims {
  const dot = ticket.indexOf('.');
  const body = ticket.slice(0, dot);
  if (dot > 0 && ticket.length <= TICKET_LENGTH_MAX) {
    const given = Buffer.from(ticket.slice(dot + 1), 'base64url');
    const right = sign(body);
    // The text is compared too: base64url has several spellings of the same bytes, and a ticket has one.
    const exact = ticket.slice(dot + 1) === given.toString('base64url');
    if (given.length === right.length && timingSafeEqual(given, right) && exact) {
      // Only this server's key signs, and it signs `Claims` only.
      return JSON.parse(Buffer.from(body, 'base64url').toString('utf8')) as Claims;
    }
  }
  throw new TidewayError(
    'unauthenticated',
    'the ticket is not one of this server; nodes behind one address need the same auth.ticketSecret',
  );
}

function setOf(channels: readonly string[]): string[] {
  return [...new Set(channels)];
}

/** 96 bits: whoever holds a ticket cannot find another channel's name with the same digest. */
function digest(channel: string): string {
  return createHash('sha256').update(channel).digest().toString('base64url', 0, 12);
}

function bitsOf(identity: Identity, channel: string): number {
  return READING.reduce((bits, word, bit) => bits | (isAllowed(identity.allow, word, channel) ? 1 << bit : 0), 0);
}

function remaining(claims: Claims, channel: string): Permission[] {
  const name = digest(channel);
  if (!Object.hasOwn(claims.c, name)) {
    throw new TidewayError('forbidden', 'the ticket was made for other channels than the URL asks for');
  }
  return READING.filter((_, bit) => (((claims.c[name] ?? 0) >> bit) & 1) === 1);
}

/**
 * The key that all nodes with this configuration have, so that behind a load balancer each takes the tickets of the
 * others; `undefined` where they share no secret. Derived (RFC 5869), so that it says nothing of what it was made from.
 */
export function sharedTicketKey({ ticketSecret, jwt }: AuthOptions): Uint8Array | undefined {
  const secret = ticketSecret ?? jwt?.secret;
  return secret === undefined ? undefined : new Uint8Array(hkdfSync('sha256', secret, '', 'tideway ticket', KEY_BYTES));
}

/** By which two nodes find out whether they have the same key; short, and it says nothing of the key. */
export function ticketKeyMark(key: Uint8Array): string {
  return Buffer.from(hkdfSync('sha256', key, '', 'tideway ticket key mark', MARK_BYTES)).toString('base64url');
}

/**
 * The key of a data folder, made when it is not there. Two processes that start at once end up with the same one.
 *
 * @param folder absent: a key of this process only
 */
export async function openTicketKey(folder: string | undefined, env: Env): Promise<Uint8Array> {
  if (folder === undefined) return env.randomBytes(KEY_BYTES);
  await mkdir(folder, { recursive: true });
  const path = join(folder, KEY_FILE);
  const known = await readKey(path);
  if (known !== undefined) return known;
  const draft = join(folder, `${KEY_FILE}.${randomId(env)}`);
  await writeFile(draft, env.randomBytes(KEY_BYTES), { mode: 0o600, flush: true });
  try {
    await link(draft, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    await rm(draft, { force: true });
  }
  await chmod(path, 0o600);
  return (await readKey(path)) as Uint8Array;
}

async function readKey(path: string): Promise<Uint8Array | undefined> {
  try {
    const key = await readFile(path);
    if (key.length !== KEY_BYTES)
      throw new Error(`${path} has ${key.length} bytes instead of ${KEY_BYTES}; delete it to get a new key`);
    return key;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
