import assert from 'node:assert/strict';
import { test } from 'node:test';
import { headers, MsgHdrsImpl } from '@nats-io/transport-node';
import * as fc from 'fast-check';
import { decodeHeaders, encodeHeaders } from './nats-headers.ts';

const decoded = (block: Buffer | undefined): Map<string, string> | undefined =>
  block === undefined ? new Map() : decodeHeaders(MsgHdrsImpl.decode(block));

test('every value comes back as it was, through what the client itself makes of a header block', () => {
  fc.assert(
    fc.property(
      fc.dictionary(fc.constantFrom('tideway-key', 'tideway-rid', 'traceparent'), fc.string({ unit: 'grapheme' })),
      (values) => {
        const given = new Map(Object.entries(values));
        assert.deepEqual(decoded(encodeHeaders(given)), given);
      },
    ),
  );
});

test('a value that NATS would change is written as RFC 8187 has it, an ordinary one as it is', () => {
  const block = encodeHeaders(
    new Map([
      ['tideway-user', 'Zoë'],
      ['tideway-key', ' a\n'],
      ['tideway-rid', ''],
    ]),
  );
  assert.equal(
    block?.toString(),
    "NATS/1.0\r\ntideway-user: Zoë\r\ntideway-key*: UTF-8''%20a%0A\r\ntideway-rid: \r\n\r\n",
  );
  assert.equal(encodeHeaders(new Map()), undefined);
});

test('what the client itself writes is read alike; of several values the first counts', () => {
  const written = headers();
  written.set('tideway-user', 'alice');
  written.append('tideway-user', 'mallory');
  written.append('Nats-Msg-Id', '7');
  assert.deepEqual(
    decodeHeaders(written),
    new Map([
      ['tideway-user', 'alice'],
      ['Nats-Msg-Id', '7'],
    ]),
  );
});

test('a header of ours that is not UTF-8 is said, one of others is left alone', () => {
  const broken = (name: string): Buffer =>
    Buffer.concat([Buffer.from(`NATS/1.0\r\n${name}: `), Buffer.from([0xff, 0xfe]), Buffer.from('\r\n\r\n')]);
  assert.equal(decoded(broken('tideway-key')), undefined);
  assert.equal(decoded(broken('traceparent')), undefined);
  assert.equal(decoded(broken('other'))?.size, 1);
  assert.equal(decoded(Buffer.from("NATS/1.0\r\ntideway-key*: UTF-8''%zz\r\n\r\n")), undefined);
  assert.deepEqual(decoded(Buffer.from("NATS/1.0\r\nother*: UTF-8''%zz\r\n\r\n")), new Map());
});
