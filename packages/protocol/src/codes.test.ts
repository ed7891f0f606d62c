import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readVectors } from '../test/vectors.ts';
import {
  codeOfClose,
  codes,
  codeStatuses,
  isCode,
  isFinalClose,
  TidewayError,
  type Code,
  type CodeEntry,
} from './codes.ts';

const vectors = readVectors('codes') as {
  cases: readonly { readonly code: Code; readonly http: number; readonly close?: number; readonly action: string }[];
  closes: readonly { readonly close: number; readonly final: boolean }[];
};

test('the table of codes is that of the vectors, in its order (COD-1)', () => {
  const table = Object.entries<CodeEntry>(codes).map(([code, { close, action }]) => ({
    clause: 'COD-1',
    code,
    http: codeStatuses[code as Code],
    ...(close === undefined ? {} : { close }),
    action,
  }));
  assert.deepEqual(table, vectors.cases);
});

test('a close number stands for one code, and its range says what the action says (COD-3)', () => {
  const closes = new Set<number>();
  for (const { code, close, action } of vectors.cases) {
    if (close === undefined) continue;
    assert.ok(!closes.has(close), `${close} has two codes`);
    closes.add(close);
    assert.equal(codeOfClose(close), code);
    assert.ok(close >= 4000 && close <= 4999);
    if (action === 'retry') assert.ok(!isFinalClose(close), `${code} can be retried, so the client must come back`);
    if (action === 'never')
      assert.ok(isFinalClose(close), `${code} cannot be retried, so the client must not come back`);
  }
  assert.equal(codeOfClose(1000), undefined);
});

test('after these close numbers a client must not reconnect by itself (COD-3)', () => {
  for (const { close, final } of vectors.closes) assert.equal(isFinalClose(close), final, String(close));
});

test('only the codes of the table are codes', () => {
  for (const { code } of vectors.cases) assert.ok(isCode(code));
  for (const text of ['', 'toString', '__proto__', 'BAD_FRAME', 'timeout']) assert.equal(isCode(text), false);
});

test('an error carries its code, what else is known, and nothing that is not', () => {
  const cause = new Error('disk');
  const error = new TidewayError('not_durable', 'the disk is full', {
    ref: 'r_1',
    retryMs: 1_000,
    cause,
    details: { free: 0 },
  });
  assert.ok(error instanceof Error);
  assert.deepEqual(
    [error.name, error.code, error.message, error.ref, error.retryMs, error.cause, error.details],
    ['TidewayError', 'not_durable', 'the disk is full', 'r_1', 1_000, cause, { free: 0 }],
  );
  const bare = new TidewayError('conflict', 'changed');
  assert.ok(!('cause' in bare));
  assert.deepEqual([bare.ref, bare.retryMs, bare.details], [undefined, undefined, undefined]);
});
