import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { createKey } from '../auth/api-keys.ts';
import { createHeldEnv } from '../auth/testing/held-env.ts';
import { signWithSecret, goodClaims } from '../auth/testing/signers.ts';
import { createTickets } from '../auth/tickets.ts';
import { logEvents } from './logger-events.ts';
import { createLineWriter, formatJson, formatPretty } from './logger-format.ts';
import { createLogger, type LogLine, type LoggerOptions } from './logger.ts';

function kept(level: NonNullable<LoggerOptions['level']> = 'debug') {
  const env = createHeldEnv();
  const lines: LogLine[] = [];
  return { env, lines, logger: createLogger({ env, level, write: (line) => void lines.push(line) }) };
}

describe('a line', () => {
  test('has time, level and event, and the fields that are there', () => {
    const { logger, lines } = kept();
    logger.log('session.closed', { session: 's1', user: 'ann', code: 'slow_pong', durationMs: 7, message: undefined });
    assert.deepEqual(lines, [
      {
        time: '2026-07-01T12:00:00.000Z',
        level: 'debug',
        event: 'session.closed',
        session: 's1',
        user: 'ann',
        code: 'slow_pong',
        durationMs: 7,
      },
    ]);
  });

  test('below the level is not written, unless a ref was given out for it', () => {
    const { logger, lines } = kept('error');
    logger.log('session.opened');
    logger.log('log.repaired');
    assert.equal(lines.length, 0);
    const ref = logger.refer('request.refused', { code: 'forbidden' });
    assert.equal(lines[0]?.ref, ref);
    logger.log('log.down');
    assert.equal(lines.length, 2);
  });

  test('that cannot be written harms nobody', () => {
    const logger = createLogger({
      env: createHeldEnv(),
      write: () => {
        throw new Error('EPIPE');
      },
    });
    logger.log('log.down');
    assert.match(logger.refer('request.failed'), /^[\w-]{22}$/);
    logger.flush();
  });
});

describe('lines that repeat', () => {
  test('are counted after twenty in ten seconds, and the count is written', () => {
    const { env, logger, lines } = kept();
    for (let n = 0; n < 100; n++)
      logger.log('append.refused', { session: 's1', code: 'invalid', channel: `chat:${n}` });
    assert.equal(lines.length, 20);
    env.advance(10_000);
    assert.equal(lines.length, 21);
    const { event, session, code, repeated, channel } = lines[20] as LogLine;
    assert.deepEqual(
      { event, session, code, repeated, channel },
      { event: 'append.refused', session: 's1', code: 'invalid', repeated: 80, channel: undefined },
    );
    logger.log('append.refused', { session: 's1', code: 'invalid' });
    assert.equal(lines.length, 22, 'a new window');
  });

  test('of one session do not silence another, or another code', () => {
    const { logger, lines } = kept();
    for (let n = 0; n < 50; n++) logger.log('append.refused', { session: 's1', code: 'invalid' });
    logger.log('append.refused', { session: 's2', code: 'invalid' });
    logger.log('append.refused', { session: 's1', code: 'too_large' });
    logger.log('session.closed', { session: 's1', code: 'invalid' });
    assert.equal(lines.length, 23);
  });

  test('always have a ref that is found in the log', () => {
    const { env, logger, lines } = kept();
    const refs = new Set<string>();
    for (let n = 0; n < 200; n++) {
      if (n === 120) env.advance(10_000);
      refs.add(logger.refer('request.refused', { session: 's1', code: 'bad_frame' }));
    }
    logger.flush();
    const written = new Set(lines.map(({ ref }) => ref));
    for (const ref of refs) assert.ok(written.has(ref));
    assert.equal(
      lines.reduce((sum, { repeated }) => sum + (repeated ?? 1), 0),
      200,
    );
  });

  test('lead by their ref to a line about the same thing: same code, same op or path', () => {
    const { logger, lines } = kept();
    for (let n = 0; n < 25; n++) {
      for (const about of [{ op: 'append' }, { op: 'subscribe' }, { path: '/v1/records' }, { path: '/v1/batch' }]) {
        for (const code of ['bad_frame', 'forbidden']) {
          const ref = logger.refer('request.refused', { ...about, code, remoteAddress: '10.0.0.1' });
          const line = lines.findLast((one) => one.ref === ref) as LogLine;
          assert.deepEqual(
            { code: line.code, op: line.op, path: line.path },
            { code, op: undefined, path: undefined, ...about },
          );
        }
      }
    }
    const before = lines.length;
    logger.flush();
    assert.equal(lines.length, before + 8);
    for (const { ref, repeated } of lines.slice(before)) {
      assert.equal(repeated, 5);
      assert.ok(lines.slice(0, before).some((one) => one.ref === ref));
    }
  });

  test('of one address hide nothing of another, nor do paths that do not exist make kinds without end', () => {
    const { logger, lines } = kept();
    for (let n = 0; n < 1_000; n++)
      logger.refer('request.refused', { code: 'not_found', path: `/${n}`, remoteAddress: '10.0.0.1' });
    assert.equal(lines.length, 20);
    logger.refer('request.refused', { code: 'not_found', path: '/mine', remoteAddress: '10.0.0.2' });
    assert.equal(lines.at(-1)?.path, '/mine');
  });

  test('are counted whatever their mix, none lost: written and repeated add up', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            session: fc.constantFrom('a', 'b'),
            refer: fc.boolean(),
            advance: fc.constantFrom(0, 0, 0, 4_000),
          }),
          { maxLength: 200 },
        ),
        (steps) => {
          const { env, logger, lines } = kept();
          for (const { session, refer, advance } of steps) {
            if (refer) assert.notEqual(logger.refer('request.refused', { session }), '');
            else logger.log('request.refused', { session });
            env.advance(advance);
          }
          logger.flush();
          assert.equal(
            lines.reduce((sum, { repeated }) => sum + (repeated ?? 1), 0),
            steps.length,
          );
        },
      ),
    );
  });

  test('of ever new sessions take bounded memory, and few lines once there are too many', () => {
    const { env, logger, lines } = kept();
    for (let n = 0; n < 12_000; n++) logger.log('session.refused', { session: `s${n}` });
    assert.equal(lines.length, 10_000 + 20);
    logger.flush();
    assert.equal(lines.at(-1)?.repeated, 1_980);
    assert.equal(env.timers, 1);
  });
});

describe('secrets', () => {
  test('never reach a line, in whichever field they come', async () => {
    const env = createHeldEnv();
    const { ticket } = createTickets({ key: Buffer.alloc(32), env }).create({
      identity: { kind: 'anonymous', roles: [] },
      channels: ['chat:1'],
    });
    const token = await signWithSecret(goodClaims);
    const secrets = [token, createKey().key, ticket];
    const { logger, lines } = kept();
    for (const secret of secrets) {
      for (const text of [
        secret,
        `Bearer ${secret}`,
        `/v1/events?ticket=${secret}&channel=chat:1`,
        `{"op":"hello","token":"${secret}"}`,
      ]) {
        for (const field of ['message', 'path', 'url', 'stack', 'reason', 'origin'] as const)
          logger.log('request.failed', { session: text.slice(0, 8), [field]: text });
      }
    }
    const text = lines.map(formatJson).join('\n');
    assert.ok(lines.length > 0);
    for (const secret of secrets) {
      for (const part of secret.split('.')) assert.ok(!text.includes(part), `${part.slice(0, 8)}…`);
    }
    assert.match(text, /channel=chat:1/, 'what is no secret stays');
  });

  test('what looks like none is left alone', () => {
    const { logger, lines } = kept();
    const message = 'chat:42 at Qm3x_1.10A.zzzz: a record of 3.5 MiB, https://app.example.com/a/b?x=1';
    logger.log('request.refused', { message });
    assert.equal(lines[0]?.message, message);
  });
});

describe('on a terminal', () => {
  const line: LogLine = {
    time: '2026-07-01T12:30:25.104Z',
    level: 'error',
    event: 'log.down',
    message: 'disk full',
    code: 'not_durable',
    stack: 'Error: x\n  at y',
  };

  test('a line is short, with colours only where they are wanted', () => {
    assert.equal(
      formatPretty(line, { colour: false }),
      '12:30:25.104 log.down         disk full code=not_durable\nError: x\n  at y',
    );
    assert.match(formatPretty(line, { colour: true }), /\u001b\[31mlog\.down/);
  });

  test('nothing from outside can move the cursor or begin a line', () => {
    const text = formatPretty({ ...line, stack: '', user: 'a\u001b[2Jb\nc\u009b', message: 'x\ry' }, { colour: false });
    assert.doesNotMatch(text.trimEnd(), /[\u0000-\u001f\u007f-\u009f]/);
  });

  test('auto is pretty there, and JSON lines elsewhere; NO_COLOR is honoured', () => {
    const written = (format: 'auto' | 'json' | 'pretty', isTTY: boolean, environment = {}): string => {
      let text = '';
      createLineWriter(format, { isTTY, write: (more) => (text += more) }, environment)(line);
      return text;
    };
    assert.match(written('auto', false), /^\{"time"/);
    assert.deepEqual(JSON.parse(written('json', true)), line);
    assert.match(written('auto', true), /^\u001b/);
    assert.match(written('auto', true, { NO_COLOR: '1' }), /^12:30/);
    assert.match(written('pretty', false), /^12:30/);
  });
});

test('every event has a name of room and fact, and a sentence', () => {
  for (const [event, { meaning }] of Object.entries(logEvents)) {
    assert.match(event, /^[a-z]+\.[a-z_]+$/);
    assert.match(meaning, /^[A-Z].*\.$/);
  }
});
