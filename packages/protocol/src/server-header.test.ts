import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { bytesOf, readVectors } from '../test/vectors.ts';
import type { RecordHeader, RecordLine, ServerFrame } from './frames.ts';
import { decodeServerHeader, encodeRecordHeader, encodeServerHeader } from './server-header.ts';

test('headers of servers are written and read as the vectors say (WS-3)', () => {
  const { cases } = readVectors('server-frames') as {
    cases: readonly { readonly header: string; readonly frame: ServerFrame | null }[];
  };
  for (const { header, frame } of cases) {
    assert.deepEqual(decodeServerHeader(header), frame ?? undefined, header);
    if (frame !== null) assert.equal(encodeServerHeader(frame), header);
  }
});

const records = (
  readVectors('records') as {
    cases: readonly {
      readonly record: RecordHeader;
      readonly header: string;
      readonly kind: 'json' | 'bytes';
      readonly payload: string;
      readonly line: string;
    }[];
  }
).cases;

test('the header of a record has its members in one order, byte for byte (REC-1)', () => {
  for (const { record, header } of records) {
    assert.equal(encodeRecordHeader(record), header);
    assert.deepEqual(decodeServerHeader(header), { op: 'record', ...record });
  }
});

test('the line of a record is its header without op, then encoding and data (SSE-2)', () => {
  for (const { record, header, kind, payload, line } of records) {
    const parsed = JSON.parse(line) as RecordLine;
    const { data, encoding, ...rest } = parsed;
    assert.deepEqual(rest, record);
    assert.equal(encoding, kind === 'bytes' ? 'base64' : undefined);
    const bytes = kind === 'bytes' ? Buffer.from(data as string, 'base64') : undefined;
    assert.deepEqual(
      bytes ?? data,
      kind === 'bytes' ? Buffer.from(bytesOf(payload)) : JSON.parse(Buffer.from(payload, 'hex').toString()),
    );
    assert.ok(
      line.startsWith(`{${header.slice('{"op":"record",'.length, -1)},"${kind === 'bytes' ? 'encoding' : 'data'}":`),
    );
    assert.doesNotMatch(line, /[\r\n]/);
  }
});

test('any record header is one line of JSON that reads back the same (REC-1)', () => {
  const text = fc.option(
    fc.string({ unit: 'binary' }).filter((one) => one.isWellFormed()),
    { nil: undefined },
  );
  const optional = fc.record({ rid: text, user: text, key: text, trace: text }).map((given) => {
    const entries = Object.entries(given).filter(([, value]) => value !== undefined);
    return Object.fromEntries(entries) as Pick<RecordHeader, 'rid' | 'user' | 'key' | 'trace'>;
  });
  fc.assert(
    fc.property(optional, fc.nat({ max: Number.MAX_SAFE_INTEGER }), (texts, time) => {
      const record = { channel: 'chat:42', cursor: 'q0Zx7a.1d.8bgY', prev: 'q0Zx7a.0.----', time, ...texts };
      const header = encodeRecordHeader(record);
      assert.doesNotMatch(header, /[\r\n]/);
      assert.deepEqual(decodeServerHeader(header), { op: 'record', ...record });
      assert.equal(
        header,
        JSON.stringify({ op: 'record', ...record }),
        'the hand-written form is what JSON.stringify gives',
      );
    }),
  );
});

test('no text makes the reader of server headers throw', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.json()), (text) => {
      const frame = decodeServerHeader(text);
      if (frame !== undefined) assert.equal(typeof frame.op, 'string');
    }),
  );
});
