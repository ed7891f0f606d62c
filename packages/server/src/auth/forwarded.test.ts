import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { createClientSide, type Forwardable } from './forwarded.ts';

const PROXY = '10.0.0.7';
const CLIENT = '203.0.113.9';

function request(remoteAddress: string, headers: Forwardable['headers'], encrypted = false): Forwardable {
  return { headers: { host: 'tideway:7400', ...headers }, socket: { remoteAddress, encrypted } };
}

const spoofed = {
  'x-forwarded-for': '198.51.100.1',
  'x-forwarded-host': 'chat.example',
  'x-forwarded-proto': 'https',
  forwarded: 'for=198.51.100.1;host=chat.example;proto=https',
};

describe('what a connection that is not trusted says of a client', () => {
  for (const trusted of [[], [PROXY], ['10.0.0.0/24', 'fd00::/8']]) {
    test(`is not read with trustedProxies [${trusted.join(', ')}]`, () => {
      for (const peer of [CLIENT, '10.0.1.7', '::1', 'fe80::7', '::ffff:10.0.1.7']) {
        const asked = request(peer, spoofed);
        const client = createClientSide(trusted)(asked);
        assert.equal(client.remoteAddress, peer);
        assert.equal(client.isEncrypted, false);
        assert.equal(client.headers, asked.headers);
      }
    });
  }
});

describe('the address of a client behind trusted proxies', () => {
  const clientSide = createClientSide([PROXY, '172.16.0.0/12', 'fd00::/8', '::1']);
  // X-Forwarded-For, address
  const table: readonly [string | undefined, string][] = [
    [undefined, PROXY],
    ['', PROXY],
    [CLIENT, CLIENT],
    [`198.51.100.1, ${CLIENT}`, CLIENT],
    [`198.51.100.1,${CLIENT} , 172.16.9.9`, CLIENT],
    [`${CLIENT}:51234`, CLIENT],
    ['2001:db8::9', '2001:db8::9'],
    ['[2001:db8::9]:443', '2001:db8::9'],
    ['[2001:db8::9]', '2001:db8::9'],
    [`198.51.100.1, fd00::3`, '198.51.100.1'],
    ['172.16.0.1, 172.16.0.2', '172.16.0.1'],
    ['unknown', PROXY],
    [`${CLIENT}, _hidden`, PROXY],
    [`${CLIENT}, not an address, 172.16.0.2`, '172.16.0.2'],
    [`${CLIENT},`, PROXY],
    ['999.1.1.1', PROXY],
  ];
  for (const [line, address] of table) {
    test(`is ${address} with X-Forwarded-For ${line === undefined ? 'absent' : JSON.stringify(line)}`, () => {
      const headers = line === undefined ? {} : { 'x-forwarded-for': line };
      assert.equal(clientSide(request(PROXY, headers)).remoteAddress, address);
    });
  }

  test('is found where the proxy comes over IPv6, or over IPv4 on a socket of both', () => {
    for (const peer of ['::1', 'fd00::7', '::ffff:10.0.0.7']) {
      assert.equal(clientSide(request(peer, { 'x-forwarded-for': CLIENT })).remoteAddress, CLIENT);
    }
  });

  test('is never one that the client itself wrote in front of what the proxy added', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.ipV4(), fc.ipV6(), fc.string())), (written) => {
        const line = [...written, CLIENT].join(',');
        assert.equal(clientSide(request(PROXY, { 'x-forwarded-for': line })).remoteAddress, CLIENT);
      }),
    );
  });
});

describe('name and scheme behind a trusted proxy', () => {
  const clientSide = createClientSide([PROXY]);

  test('are what the nearest proxy says', () => {
    const headers = { 'x-forwarded-host': 'evil.example, chat.example', 'x-forwarded-proto': 'http, HTTPS' };
    const client = clientSide(request(PROXY, { ...headers, cookie: 'a=b' }));
    assert.equal(client.headers.host, 'chat.example');
    assert.equal(client.headers.cookie, 'a=b');
    assert.equal(client.isEncrypted, true);
  });

  test('are those of the connection where it says nothing', () => {
    for (const encrypted of [true, false]) {
      const asked = request(PROXY, { 'x-forwarded-host': '', 'x-forwarded-proto': ' ' }, encrypted);
      assert.deepEqual(clientSide(asked), { remoteAddress: PROXY, headers: asked.headers, isEncrypted: encrypted });
    }
  });

  test('a plain client stays plain where the proxy itself comes over TLS', () => {
    assert.equal(clientSide(request(PROXY, { 'x-forwarded-proto': 'http' }, true)).isEncrypted, false);
    assert.equal(clientSide(request(PROXY, { 'x-forwarded-proto': 'wss' }, false)).isEncrypted, true);
  });

  test('take the place of the authority of HTTP/2 too', () => {
    const headers = { ':authority': 'tideway:7400', 'x-forwarded-host': 'chat.example' };
    assert.equal(clientSide(request(PROXY, headers)).headers[':authority'], 'chat.example');
  });

  test('are not read out of Forwarded', () => {
    const client = clientSide(request(PROXY, { forwarded: spoofed.forwarded }));
    assert.deepEqual([client.remoteAddress, client.headers.host, client.isEncrypted], [PROXY, 'tideway:7400', false]);
  });
});
