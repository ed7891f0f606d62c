import assert from 'node:assert/strict';
import { tmpdir } from 'node:os';
import { describe, test } from 'node:test';
import { TidewayError } from '@tideway/protocol';
import { createHeldEnv } from '../auth/testing/held-env.ts';
import { HubFigures } from '../hub/figures.ts';
import type { Hub } from '../hub/hub.ts';
import { limitNames } from '../hub/measures.ts';
import type { Session } from '../hub/session.ts';
import { StoreError } from '../view/store.ts';
import { createHealth } from './health.ts';
import { createLogger, type LogLine } from './logger.ts';
import { watchHub } from './metrics-hub.ts';
import { createNamespaceMetrics } from './metrics-namespaces.ts';
import { watchProcess } from './metrics-process.ts';
import { metricKeys, metricTable } from './metrics-table.ts';
import { createMetrics } from './metrics.ts';
import { createObserver } from './observer.ts';
import { parseExposition } from './testing/exposition.ts';

// The observer reads these members of a session and of the hub, and calls none.
const session = {
  id: 's1',
  connection: { transport: 'websocket' },
  identity: { kind: 'user', user: 'ann', roles: [] },
  behind: new Set([{}]),
} as unknown as Session;

function hubWith(figures: HubFigures): Hub {
  return {
    figures,
    sessions: new Set([session]),
    subscriptions: 3,
    channels: 2,
    backbones: { appendsInFlight: 1, ridWindowMs: () => 60_000, toFill: 0 },
    budget: { outboxBytes: 10, answerBytes: 5, bodyBytes: 6 },
    rings: { bytes: 20 },
  } as unknown as Hub;
}

function observed() {
  const env = createHeldEnv();
  const lines: LogLine[] = [];
  const logger = createLogger({ env, level: 'debug', write: (line) => void lines.push(line) });
  const metrics = createMetrics(['chat']);
  const observer = createObserver({ env, logger, metrics });
  return { env, lines, metrics, observer, measures: createNamespaceMetrics(metrics, ['chat']) };
}

describe('what a client was refused', () => {
  test('is a line with the ref it was told, and counted by code', () => {
    const { lines, metrics, observer } = observed();
    const ref = observer.refused(
      session,
      { code: 'forbidden', message: 'append on chat:42 is not allowed' },
      'append',
      'chat:42',
    );
    const { time: _, ...line } = lines[0] as LogLine;
    assert.deepEqual(line, {
      level: 'info',
      event: 'append.refused',
      ref,
      code: 'forbidden',
      message: 'append on chat:42 is not allowed',
      session: 's1',
      transport: 'websocket',
      user: 'ann',
      op: 'append',
      channel: 'chat:42',
    });
    assert.equal(metrics.errors.of('forbidden').value, 1);
  });

  test('is of the kind that says who must act', () => {
    const { lines, observer } = observed();
    observer.refused(session, { code: 'unauthenticated', message: '' }, 'hello', undefined);
    observer.refused(session, { code: 'bad_frame', message: '' }, 'unknown', undefined);
    observer.refused(session, { code: 'unconfirmed', message: '' }, 'append', 'chat:1');
    observer.refused(session, { code: 'internal', message: '' }, 'append', 'chat:1');
    observer.requestRefused({ code: 'token_expired', message: '' }, { path: '/v1/records' });
    observer.requestRefused({ code: 'not_found', message: '' }, { path: '/x' });
    observer.requestRefused({ code: 'internal', message: 'a fault' }, { path: '/x', cause: new Error('the cause') });
    assert.deepEqual(
      lines.map(({ event }) => event),
      [
        'session.refused',
        'request.refused',
        'append.unconfirmed',
        'request.failed',
        'session.refused',
        'request.refused',
        'request.failed',
      ],
    );
    assert.match(lines.at(-1)?.message ?? '', /a fault: the cause/);
    assert.match(lines.at(-1)?.stack ?? '', /observer\.test/);
  });

  test('says why once, without a stack, also where it was thrown', () => {
    const { lines, observer } = observed();
    const refusal = new TidewayError('token_expired', 'the token has expired');
    observer.requestRefused({ code: refusal.code, message: refusal.message }, { path: '/v1/records', cause: refusal });
    assert.equal(lines[0]?.message, 'the token has expired');
    assert.equal(lines[0]?.stack, undefined);
  });
});

describe('finding out who somebody is', () => {
  test('is timed, by transport and result', async () => {
    const { env, metrics, observer } = observed();
    await observer.authenticating('websocket', async () => {
      env.advance(20);
      return { kind: 'user', user: 'ann', roles: [] };
    });
    await assert.rejects(observer.authenticating('http', () => Promise.reject(new TidewayError('token_expired', 'x'))));
    assert.equal(metrics.helloSeconds.of('websocket', 'ok').sum, 0.02);
    assert.equal(metrics.helloSeconds.of('http', 'token_expired').count, 1);
  });

  test('that failed by our fault is logged with its cause, which the client is not told', async () => {
    const { lines, observer } = observed();
    const cause = new Error('no database');
    await assert.rejects(
      observer.authenticating('sse', () => Promise.reject(new TidewayError('internal', 'x', { cause }))),
    );
    await assert.rejects(observer.authenticating('sse', () => Promise.reject(new TypeError('a bug'))));
    assert.deepEqual(
      lines.map(({ event, message }) => [event, message]),
      [
        ['callback.failed', 'x: no database'],
        ['fault.caught', 'a bug'],
      ],
    );
  });
});

test('trouble of the view says once what happened; only what nobody foresaw has a stack', () => {
  const { lines, observer } = observed();
  const message = 'the view could not tidy up a channel: x';
  observer.viewTrouble({ event: 'upkeep_failed', message, error: new StoreError('failed', 'x') });
  observer.viewTrouble({ event: 'upkeep_failed', message, error: new TypeError('x') });
  observer.viewTrouble({ event: 'view_rebuilt', message });
  assert.deepEqual(
    lines.map((line) => [line.event, line.message, line.stack !== undefined]),
    [
      ['view.upkeep_failed', message, false],
      ['view.upkeep_failed', message, true],
      ['view.rebuilt', message, false],
    ],
  );
});

test('appends are counted by namespace and result, and those stored are timed', () => {
  const { metrics, measures } = observed();
  measures.onAppended('chat:1', { state: 'ok', cursor: 'c', duplicate: false }, 2);
  measures.onAppended('chat:1', { state: 'ok', cursor: 'c', duplicate: true }, 2);
  measures.onAppended('chat:2', { state: 'error', code: 'not_durable', message: 'disk full' }, 2);
  measures.onAppended('invented:1', { state: 'ok', cursor: 'c', duplicate: false }, 2);
  assert.equal(metrics.appends.of('chat', 'stored').value, 1);
  assert.equal(metrics.appends.of('chat', 'duplicate').value, 1);
  assert.equal(metrics.appends.of('chat', 'not_durable').value, 1);
  assert.equal(metrics.appends.of('_other', 'stored').value, 1);
  assert.equal(metrics.appendSeconds.of('chat').count, 2);
});

test('what is told by channel makes no series of its own, however many names there are', () => {
  const { metrics, measures } = observed();
  for (let n = 0; n < 2_000; n++) {
    const channel = `invented-${n}:1`;
    measures.onAppended(channel, { state: 'error', code: 'invalid', message: '' }, 1);
    measures.onDelivered(channel, 1);
    measures.onCaughtUp(channel, 1);
    measures.onPageRead(channel, 1);
    measures.onResumed(channel, 'trimmed');
    measures.onTrimmed(channel, 64);
  }
  const text = metrics.render();
  assert.doesNotMatch(text, /invented/);
  assert.match(text, /^tideway_delivery_seconds_count\{namespace="_other"\} 2000$/m);
  assert.match(text, /^tideway_records_trimmed_total\{namespace="_other"\} 128000$/m);
});

test('every metric of the table is fed: none is documented but missing', () => {
  const { metrics, observer, measures } = observed();
  const health = createHealth({ version: '1.2.3' });
  const stop = watchProcess(metrics, tmpdir());
  watchHub(metrics, hubWith(new HubFigures()), health, () => 1);
  observer.opened(session);
  observer.closed(session, 'peer', '1006');
  observer.refused(session, { code: 'forbidden', message: '' }, 'append', 'chat:1');
  observer.committed({ records: 3, durationMs: 1 });
  observer.carriedOut('cart.total', 'ok', 2);
  measures.onAppended('chat:1', { state: 'ok', cursor: 'c', duplicate: false }, 2);
  measures.onDelivered('chat:1', 1);
  measures.onCaughtUp('chat:1', 1);
  measures.onPageRead('chat:1', 1);
  measures.onResumed('chat:1', 'resumed');
  measures.onTrimmed('chat:1', 64);
  return observer
    .authenticating('websocket', async () => ({ kind: 'anonymous', roles: [] }))
    .then(() => {
      const families = parseExposition(metrics.render());
      stop();
      for (const key of metricKeys)
        assert.ok((families.get(metricTable[key].name)?.samples.length ?? 0) > 0, `${key} is not fed`);
      const value = (name: string) => families.get(name)?.samples[0]?.value;
      assert.equal(value('tideway_outbox_paused_sessions'), 1);
      assert.equal(value('tideway_rid_window_seconds'), 60);
      assert.ok((value('process_resident_memory_bytes') ?? 0) > 1e6);
      assert.ok((value('tideway_disk_free_bytes') ?? 0) > 0);
    });
});

test('every figure the hub counts is shown', () => {
  const { metrics } = observed();
  const figures = new HubFigures();
  const names = Object.keys(figures).filter((name) => typeof figures[name as keyof HubFigures] === 'number');
  for (const [at, name] of names.entries()) Object.assign(figures, { [name]: 1_000 + at });
  for (const [at, name] of limitNames.entries()) figures.limitHits[name] = 2_000 + at;
  watchHub(metrics, hubWith(figures), createHealth({ version: '1' }), () => 1);
  const shown = new Set(
    [...parseExposition(metrics.render()).values()].flatMap(({ samples }) => samples.map(({ value }) => value)),
  );
  // Counted by the observer itself, by transport.
  const elsewhere = ['sessionsOpened'];
  for (const [at, name] of names.entries()) {
    if (!elsewhere.includes(name)) assert.ok(shown.has(1_000 + at), `${name} is not shown`);
  }
  for (const [at, name] of limitNames.entries()) assert.ok(shown.has(2_000 + at), `${name} is not shown`);
});
