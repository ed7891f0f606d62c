/** Reading records over HTTP, in pages (PROTOCOL.md HTTP-5, HTTP-6). */
import { createHash } from 'node:crypto';
import { formatCursor, limits, parseCursor, TidewayError, timing, type GapReason } from '@tideway/protocol';
import type { Identity } from '../auth/identity.ts';
import { authorize } from '../hub/admission.ts';
import type { Hub } from '../hub/hub.ts';
import type { NamespaceRules } from '../hub/policy.ts';
import { findStart } from '../hub/resume.ts';
import { recordLine } from '../view/frame.ts';
import type { Feed, Page, PageRequest } from '../view/view.ts';
import type { Turnstile } from '../auth/turnstile.ts';
import type { Exchange } from './exchange.ts';
import type { LongReads } from './long-reads.ts';
import { badFrame } from './request-refusal.ts';

const PUBLIC_SECONDS = 300;
/** Sorts behind every position. */
const END_POSITION = 'Bzzzzzzzzzzz';

/** What reading over HTTP needs. */
export interface Reading {
  /** Where the log is in another process: asks it for the answer to a request for a feed. */
  readonly feedElsewhere?: (url: string, identity: Identity) => Promise<Buffer>;
  readonly hub: Hub;
  /** Of the durable log, one for each of its partitions. */
  readonly feeds: readonly Feed[];
  readonly longReads: LongReads;
  /** A few pages are made at a time: each is a megabyte at most, and the node has other work. */
  readonly pages: Turnstile;
}

/** `GET /v1/records` */
export async function getRecords(reading: Reading, exchange: Exchange, identity: Identity): Promise<void> {
  const { hub } = reading;
  const channel = exchange.query.one('channel');
  const refusal = await authorize(hub.policy, identity, 'history', channel);
  if (refusal !== undefined) return exchange.fail(refusal);
  const after = exchange.query.maybe('after');
  const before = exchange.query.maybe('before');
  if (after !== undefined && before !== undefined) throw badFrame('give "after" or "before", not both');
  const limit = exchange.query.whole('limit', { min: 1, max: limits.pageRecords, otherwise: 100 });
  const waitSeconds = exchange.query.whole('wait', { min: 0, max: 60, otherwise: 0 });
  if (waitSeconds > 0 && after === undefined) throw badFrame('"wait" goes with "after"');
  for (const [name, place] of Object.entries({ after, before })) {
    if (place !== undefined && !(name === 'after' && place === 'oldest') && parseCursor(place) === undefined) {
      throw new TidewayError('bad_cursor', `"${name}" is not a cursor`);
    }
  }
  const view = hub.backbones.view(channel);
  await view.ready(channel);
  const bytes = limits.pageBytes;
  if (after === undefined) {
    const state = view.state(channel);
    if (before === undefined) {
      const end = formatCursor(state.epoch, END_POSITION, 'zzzz');
      const page = await readPage(reading, exchange, channel, { before: end, limit, bytes });
      return sendPage(hub, exchange, channel, page, { emptyAt: state.place });
    }
    return await sendPageBefore(reading, exchange, { channel, before, limit });
  }
  const untilMs = hub.env.monotonicMs() + waitSeconds * 1_000;
  await sendPageAfter(reading, exchange, { channel, after, limit, untilMs });
}

async function sendPageBefore(
  reading: Reading,
  exchange: Exchange,
  asked: { readonly channel: string; readonly before: string; readonly limit: number },
): Promise<void> {
  const { hub } = reading;
  const { channel, before, limit } = asked;
  const view = hub.backbones.view(channel);
  const life = view.life(channel);
  const start = await findStart({ view, channel, turns: hub.starts }, before);
  if (!start.ok) return exchange.fail(start);
  if (start.resumed === false) {
    const gap = { reason: start.reason as GapReason, cursor: start.place };
    return sendBody(exchange, '', { first: start.place, next: start.place, end: true, gap });
  }
  const page = await readPage(reading, exchange, channel, { before: start.place, limit, bytes: limits.pageBytes });
  // What is in front of a place of another history does not lead to it.
  if (view.life(channel) !== life) return await sendPageBefore(reading, exchange, asked);
  sendPage(hub, exchange, channel, page, { emptyAt: start.place, isBound: true });
}

async function sendPageAfter(
  reading: Reading,
  exchange: Exchange,
  asked: { readonly channel: string; readonly after: string; readonly limit: number; readonly untilMs: number },
): Promise<void> {
  const { hub, longReads } = reading;
  const { channel, after, limit, untilMs } = asked;
  const view = hub.backbones.view(channel);
  await view.ready(channel);
  const life = view.life(channel);
  const start = await findStart({ view, channel, turns: hub.starts }, after);
  if (!start.ok) return exchange.fail(start);
  let gap = start.resumed === false ? { reason: start.reason as GapReason, cursor: start.place } : undefined;
  const request = { after: start.deliverFrom, limit, bytes: limits.pageBytes };
  let page = await readPage(reading, exchange, channel, request);
  const waitMs = untilMs - hub.env.monotonicMs();
  if (page.records.length === 0 && waitMs > 0 && gap === undefined && !page.trimmed) {
    const moved = await longReads.wait(exchange.response, channel, { place: start.deliverFrom, life }, waitMs);
    if (moved && view.life(channel) === life) page = await readPage(reading, exchange, channel, request);
  }
  // What came, or did not, behind a place of another history says nothing.
  if (view.life(channel) !== life) return await sendPageAfter(reading, exchange, asked);
  if (page.trimmed) gap = { reason: 'trimmed', cursor: view.state(channel).floor };
  sendPage(hub, exchange, channel, page, {
    emptyAt: gap?.cursor ?? start.place,
    isBound: page.records.length >= limit || !page.end,
    gap,
  });
}

async function readPage(
  { hub, pages }: Reading,
  exchange: Exchange,
  channel: string,
  request: PageRequest,
): Promise<Page> {
  const leave = await pages.enter();
  try {
    if (exchange.response.destroyed) throw new TidewayError('going_away', 'the reader has left');
    exchange.needRoom(request.bytes);
    const sinceMs = hub.env.monotonicMs();
    const page = await hub.backbones.view(channel).read(channel, request);
    hub.measures?.onPageRead(channel, hub.env.monotonicMs() - sinceMs);
    if (page.behind) {
      const message = 'this node does not hold the channel that far back yet';
      throw new TidewayError('behind', message, { retryMs: timing.retryMs });
    }
    return page;
  } finally {
    leave();
  }
}

function sendPage(
  hub: Hub,
  exchange: Exchange,
  channel: string,
  page: Page,
  how: {
    /** The place of a page without records. */
    readonly emptyAt: string;
    /** Nothing can be added to the page any more: it is full, or has something behind it. */
    readonly isBound?: boolean;
    readonly gap?: { readonly reason: GapReason; readonly cursor: string } | undefined;
  },
): void {
  const lines = page.records.map((record) => recordLine(record.frame).toString('utf8')).join(',');
  const isEmpty = page.records.length === 0;
  const members = {
    first: isEmpty ? how.emptyAt : page.first,
    next: isEmpty ? how.emptyAt : page.next,
    end: page.end,
    ...(how.gap === undefined ? {} : { gap: how.gap }),
  };
  const isSettled = how.isBound === true && how.gap === undefined && !isEmpty;
  sendBody(exchange, lines, members, isSettled ? cacheControl(hub, channel) : undefined);
}

function cacheControl(hub: Hub, channel: string): string {
  const rules = hub.policy.rules(channel) as NamespaceRules;
  return rules.noStore || !hub.policy.isPublic(channel) ? 'private, no-store' : `public, max-age=${PUBLIC_SECONDS}`;
}

/** @param settled the `Cache-Control` of a page that never changes; absent: it may change */
function sendBody(exchange: Exchange, lines: string, members: object, settled?: string): void {
  const body = Buffer.from(`{"records":[${lines}],${JSON.stringify(members).slice(1)}`);
  const type = { 'content-type': 'application/json; charset=utf-8' };
  if (settled === undefined) return exchange.bytes(200, body, type);
  const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`;
  // In the spelling of corsHeaders (../auth/origin.ts), so that it takes the place of theirs.
  const cache = { etag, 'cache-control': settled, Vary: 'Authorization, Cookie, Origin' };
  const known = exchange
    .header('if-none-match')
    ?.split(',')
    .map((tag) => tag.trim().replace(/^W\//, ''));
  if (known?.includes(etag) === true || known?.includes('*') === true) exchange.bytes(304, Buffer.alloc(0), cache);
  else exchange.bytes(200, body, { ...type, ...cache });
}
