import assert from 'node:assert/strict';
import { tmpdir } from 'node:os';
import { describe, test } from 'node:test';
import { TidewayError } from '@tideway/protocol';
import { createHeldEnv } from '../auth/testing/held-env.ts';
import { HubFigures } from '../hub/figures.ts';
import type { Hub } from '../hub/hub.ts';
import type { Session } from '../hub/session.ts';
import type { PhysicalRecord } from '../log/log.ts';
import { createHealth } from './health.ts';
import { createLogger, type LogLine } from './logger.ts';
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
    appendsInFlight: 1,
    outboxBytes: 10,
    ringBytes: 20,
    ridWindowMs: () => 60_000,
  } as unknown as Hub;
}

function record(channel: string): PhysicalRecord {
  return { channel, kind: 'data', encoding: 'json', payload: Buffer.from('"secret payload"') };
}

function observed() {
  const env = createHeldEnv();
  const lines: LogLine[] = [];
  const logger = createLogger({ env, level: 'debug', write: (line) => void lines.push(line) });
  const metrics = createMetrics(['chat']);
  const observer = createObserver({ env, logger, metrics, namespaces: ['chat'] });
  return { env, lines, metrics, observer };
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
    observer.requestRefused({ code: 'token_expired', message: '' }, '/v1/records');
    observer.requestRefused({ code: 'not_found', message: '' }, '/x');
    observer.requestRefused({ code: 'internal', message: 'a fault' }, '/x', new Error('the cause'));
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
        ['callback.failed', 'no database'],
        ['request.failed', 'a bug'],
      ],
    );
  });
});

test('appends are counted by namespace and result, and those stored are timed', () => {
  const { metrics, observer } = observed();
  observer.appended(record('chat:1'), { state: 'ok', cursor: 'c', duplicate: false }, 2);
  observer.appended(record('chat:1'), { state: 'ok', cursor: 'c', duplicate: true }, 2);
  observer.appended(record('chat:2'), { state: 'error', code: 'not_durable', message: 'disk full' }, 2);
  observer.appended(record('invented:1'), { state: 'ok', cursor: 'c', duplicate: false }, 2);
  assert.equal(metrics.appends.of('chat', 'stored').value, 1);
  assert.equal(metrics.appends.of('chat', 'duplicate').value, 1);
  assert.equal(metrics.appends.of('chat', 'not_durable').value, 1);
  assert.equal(metrics.appends.of('_other', 'stored').value, 1);
  assert.equal(metrics.appendSeconds.of('chat').count, 2);
});

test('every metric of the table is fed: none is documented but missing', () => {
  const { metrics, observer } = observed();
  const health = createHealth({ version: '1.2.3' });
  const stop = watchProcess(metrics, tmpdir());
  observer.watch(hubWith(new HubFigures()), health);
  observer.opened(session);
  observer.closed(session, 'peer', '1006');
  observer.refused(session, { code: 'forbidden', message: '' }, 'append', 'chat:1');
  observer.appended(record('chat:1'), { state: 'ok', cursor: 'c', duplicate: false }, 2);
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
  const { metrics, observer } = observed();
  const figures = new HubFigures();
  const names = Object.keys(figures).filter((name) => typeof figures[name as keyof HubFigures] === 'number');
  for (const [at, name] of names.entries()) Object.assign(figures, { [name]: 1_000 + at });
  observer.watch(hubWith(figures), createHealth({ version: '1' }));
  const shown = new Set(
    [...parseExposition(metrics.render()).values()].flatMap(({ samples }) => samples.map(({ value }) => value)),
  );
  // Counted by the observer itself, by transport.
  const elsewhere = ['sessionsOpened'];
  for (const [at, name] of names.entries()) {
    if (!elsewhere.includes(name)) assert.ok(shown.has(1_000 + at), `${name} is not shown`);
  }
});
