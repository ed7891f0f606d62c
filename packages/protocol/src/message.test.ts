import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { bytesOf, readVectors } from '../test/vectors.ts';
import { decodeClientHeader } from './client-header.ts';
import { normalizeJson } from './json-text.ts';
import { splitBytes, splitText } from './message.ts';

interface Vector {
  readonly note: string;
  readonly message: { readonly text: string } | { readonly hex: string };
  readonly kind?: 'json' | 'bytes';
  readonly stored?: string;
}

type Stored = { readonly kind: 'json' | 'bytes'; readonly stored: string } | undefined;

/** What a server stores of a message that is an append; `undefined` is bad_frame (FRM-1 to FRM-6). */
function storedOf(message: Vector['message']): Stored {
  const split = 'text' in message ? splitText(message.text) : splitBytes(bytesOf(message.hex));
  const decoded = decodeClientHeader(split.header);
  if (!decoded.ok) return undefined;
  const { payload } = split;
  if (decoded.data !== undefined) return payload === undefined ? storedJson(decoded.data) : undefined;
  if (payload === undefined) return undefined;
  return typeof payload === 'string'
    ? storedJson(payload)
    : { kind: 'bytes', stored: Buffer.from(payload).toString('hex') };
}

function storedJson(text: string): Stored {
  const json = normalizeJson(text);
  return json === undefined ? undefined : { kind: 'json', stored: Buffer.from(json).toString('hex') };
}

test('messages are taken apart, stored or refused as the vectors say (FRM-1 to FRM-6)', () => {
  const { cases } = readVectors('messages') as { cases: readonly Vector[] };
  for (const { note, message, kind, stored } of cases) {
    assert.deepEqual(storedOf(message), kind === undefined ? undefined : { kind, stored }, note);
  }
});

test('a text message ends its header at the first line feed, and only there (FRM-1)', () => {
  const header = fc.string({ unit: 'binary' }).map((text) => text.replaceAll('\n', ''));
  fc.assert(
    fc.property(header, fc.string({ unit: 'binary' }), (header, payload) => {
      assert.deepEqual(splitText(`${header}\n${payload}`), { header, payload });
      assert.deepEqual(splitText(header), { header, payload: undefined });
    }),
  );
});

test('any bytes are taken apart without a throw; the payload is the very bytes behind the first line feed (FRM-1)', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      const { header, payload } = splitBytes(bytes);
      const at = bytes.indexOf(0x0a);
      assert.deepEqual(payload, at < 0 ? undefined : bytes.slice(at + 1));
      const headerBytes = Buffer.from(at < 0 ? bytes : bytes.slice(0, at));
      if (header !== '') assert.deepEqual(Buffer.from(header), headerBytes);
      else assert.ok(headerBytes.length === 0 || !headerBytes.equals(Buffer.from(headerBytes.toString('utf8'))));
    }),
    { numRuns: 1_000 },
  );
});

test('the payload of a binary message is a view, not a copy', () => {
  const message = new Uint8Array([0x7b, 0x7d, 0x0a, 1, 2]);
  assert.equal(splitBytes(message).payload?.buffer, message.buffer);
});
