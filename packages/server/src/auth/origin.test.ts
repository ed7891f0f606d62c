import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { createOriginPolicy, isLoopback, type OriginOptions } from './origin.ts';

function policy(options: Partial<OriginOptions> = {}) {
  return createOriginPolicy({ origins: [], hosts: [], listenHost: '127.0.0.1', ...options });
}

describe('the origin of a page', () => {
  const listed = ['https://app.example.com', 'http://localhost:5173', 'capacitor://localhost'];
  // origin, host, encrypted, allowed
  const table: readonly [string, string, boolean, boolean][] = [
    ['http://localhost:7400', 'localhost:7400', false, true],
    ['https://chat.example.com', 'chat.example.com', true, true],
    ['https://chat.example.com', 'chat.example.com:443', true, true],
    ['https://chat.example.com', 'chat.example.com', false, true],
    ['http://chat.example.com', 'chat.example.com:80', false, true],
    ['HTTPS://CHAT.example.com', 'chat.EXAMPLE.com', true, true],
    ['https://[::1]:7400', '[::1]:7400', true, true],
    ['http://chat.example.com', 'chat.example.com', true, false],
    ['http://localhost:7401', 'localhost:7400', false, false],
    ['http://localhost', 'localhost:7400', false, false],
    ['https://chat.example.com:8443', 'chat.example.com', true, false],
    ['https://evil.example', 'chat.example.com', true, false],
    ['https://chat.example.com.evil.example', 'chat.example.com', true, false],
    ['https://evil-chat.example.com', 'chat.example.com', true, false],
    ['https://evil.example/chat.example.com', 'chat.example.com', true, false],
    ['https://chat.example.com@evil.example', 'chat.example.com', true, false],
    ['https://evil.example#chat.example.com', 'chat.example.com', true, false],
    ['https://app.example.com', 'chat.example.com', true, true],
    ['https://APP.example.com', 'chat.example.com', true, true],
    ['https://app.example.com.evil.example', 'chat.example.com', true, false],
    ['https://app.example.co', 'chat.example.com', true, false],
    ['https://app.example.com:8443', 'chat.example.com', true, false],
    ['http://app.example.com', 'chat.example.com', false, false],
    ['https://app.example.com/', 'chat.example.com', true, false],
    ['capacitor://localhost', 'chat.example.com', true, true],
    ['null', 'chat.example.com', true, false],
    ['null', 'null', true, false],
    ['', 'chat.example.com', true, false],
    ['https://app.example.com, https://evil.example', 'chat.example.com', true, false],
    ['file://', 'chat.example.com', true, false],
  ];
  for (const [origin, host, isEncrypted, allowed] of table) {
    test(`${origin || '(empty)'} at ${host}${isEncrypted ? ' over TLS' : ''} is ${allowed ? 'let in' : 'refused'}`, () => {
      const verdict = policy({ origins: listed }).checkOrigin({ origin, host }, isEncrypted);
      assert.equal(verdict.allowed, allowed);
      assert.equal(verdict.cookies, allowed);
      if (!allowed) assert.match(verdict.reason ?? '', /neither this server's own nor in origins/);
    });
  }

  test('is compared with the authority of HTTP/2, whatever Host says beside it', () => {
    const headers = { ':authority': 'chat.example.com', host: 'evil.example' };
    assert.equal(policy().checkOrigin({ ...headers, origin: 'https://chat.example.com' }, true).allowed, true);
    assert.equal(policy().checkOrigin({ ...headers, origin: 'https://evil.example' }, true).allowed, false);
    assert.equal(policy().checkHost({ ':authority': 'localhost:7400' }).allowed, true);
    assert.equal(policy().checkHost({ ':authority': 'evil.example', host: 'localhost' }).allowed, false);
  });

  test('is not needed of programs, which have none', () => {
    assert.deepEqual(policy().checkOrigin({ host: 'x' }, false), { allowed: true, cookies: true });
    for (const site of ['same-origin', 'none']) {
      assert.equal(policy().checkOrigin({ host: 'x', 'sec-fetch-site': site }, false).allowed, true);
    }
  });

  test('is missed where the browser says that another site asks', () => {
    for (const site of ['cross-site', 'same-site']) {
      assert.equal(policy().checkOrigin({ host: 'x', 'sec-fetch-site': site }, false).allowed, false);
      const open = policy({ origins: ['*'] }).checkOrigin({ host: 'x', 'sec-fetch-site': site }, false);
      assert.deepEqual([open.allowed, open.cookies], [true, false]);
    }
  });

  test('may be any with *, but then its cookies do not count', () => {
    const { checkOrigin } = policy({ origins: ['*', 'https://app.example.com'] });
    for (const origin of ['https://evil.example', 'null']) {
      const { allowed, cookies } = checkOrigin({ origin, host: 'chat.example.com' }, true);
      assert.deepEqual([allowed, cookies], [true, false]);
    }
    for (const origin of ['https://app.example.com', 'https://chat.example.com']) {
      assert.equal(checkOrigin({ origin, host: 'chat.example.com' }, true).cookies, true);
    }
  });

  test('is let in only when it is exactly the own or a listed one, whatever it is', () => {
    const { checkOrigin } = policy({ origins: ['https://app.example.com'] });
    const near = fc
      .tuple(fc.string(), fc.constantFrom('https://app.example.com', 'https://chat.example.com'), fc.string())
      .map((parts) => parts.join(''));
    fc.assert(
      fc.property(fc.oneof(fc.webUrl(), fc.string(), near), (origin) => {
        const { allowed } = checkOrigin({ origin, host: 'chat.example.com' }, true);
        const right = ['https://app.example.com', 'https://chat.example.com', 'https://chat.example.com:443'];
        assert.equal(allowed, right.includes(origin.toLowerCase()));
      }),
    );
  });
});

describe('the host a request names', () => {
  const loopback = [
    'localhost',
    'localhost:7400',
    'LOCALHOST',
    'app.localhost',
    '127.0.0.1:7400',
    '127.1.2.3',
    '[::1]:7400',
    'localhost.',
  ];
  const addresses = ['192.0.2.7', '10.0.0.5:7400', '[2001:db8::1]:7400'];
  const strangers = [
    'evil.example',
    'evil.example:7400',
    'localhost.evil.example',
    '127.0.0.1.evil.example',
    'notlocalhost',
    'chat.example.com.evil.example',
  ];
  const malformed = [
    undefined,
    '',
    ' ',
    'a b',
    'localhost:',
    'localhost:x',
    'localhost:123456',
    'localhost/x',
    'user@localhost',
    '[::1',
    '::1',
    'localhost,evil.example',
    'localhost\u0000',
  ];

  function taken(options: Partial<OriginOptions>, hosts: readonly (string | undefined)[]) {
    const { checkHost } = policy(options);
    return hosts.filter((host) => checkHost(host === undefined ? {} : { host }).allowed);
  }

  test('on loopback is a loopback name or an address: a name that was rebound is neither', () => {
    for (const options of [
      { listenHost: '127.0.0.1' },
      { listenHost: 'localhost' },
      { listenHost: '::1' },
      { listenHost: '0.0.0.0', development: true },
    ]) {
      assert.deepEqual(taken(options, [...loopback, ...addresses]), [...loopback, ...addresses]);
      assert.deepEqual(taken(options, [...strangers, ...malformed]), []);
    }
  });

  test('on the network is any well-formed or missing one, until hosts says which', () => {
    assert.deepEqual(taken({ listenHost: '0.0.0.0' }, strangers), strangers);
    assert.deepEqual(taken({ listenHost: undefined }, strangers), strangers);
    const hosts = ['chat.example.com'];
    const own = ['chat.example.com', 'chat.example.com:443', 'CHAT.example.com.'];
    assert.deepEqual(taken({ listenHost: '0.0.0.0', hosts }, [...own, ...loopback]), [...own, ...loopback]);
    assert.deepEqual(taken({ listenHost: '0.0.0.0', hosts }, [...strangers, ...malformed]), []);
  });

  test('is any where hosts has *, in development too', () => {
    assert.deepEqual(taken({ development: true, hosts: ['*'] }, strangers), strangers);
  });

  test('may be the name the server listens on', () => {
    assert.deepEqual(
      taken({ development: true, listenHost: 'my-laptop.local' }, ['my-laptop.local:7400', 'evil.example']),
      ['my-laptop.local:7400'],
    );
  });

  test('that is refused is named, with the setting that would take it', () => {
    assert.match(
      policy().checkHost({ host: 'evil.example' }).reason ?? '',
      /"evil\.example" is no name of this server; add it to hosts/,
    );
  });
});

describe('CORS', () => {
  const headersFor = (options: Partial<OriginOptions>, origin: string | undefined) =>
    policy(options).corsHeaders({ host: 'chat.example.com', ...(origin !== undefined && { origin }) }, true);

  test('a listed origin may read answers, with its cookies', () => {
    const headers = headersFor({ origins: ['https://app.example.com'] }, 'https://app.example.com');
    assert.equal(headers['Access-Control-Allow-Origin'], 'https://app.example.com');
    assert.equal(headers['Access-Control-Allow-Credentials'], 'true');
    assert.equal(headers['Vary'], 'Origin');
  });

  test('an origin that got in by * may read them without', () => {
    const headers = headersFor({ origins: ['*'] }, 'https://evil.example');
    assert.equal(headers['Access-Control-Allow-Origin'], '*');
    assert.equal(headers['Access-Control-Allow-Credentials'], undefined);
  });

  test('any other may not, and caches keep the two apart', () => {
    const options = { origins: ['https://app.example.com'] };
    assert.deepEqual(headersFor(options, 'https://evil.example'), { Vary: 'Origin' });
    assert.deepEqual(headersFor(options, undefined), { Vary: 'Origin' });
    assert.deepEqual(headersFor({}, undefined), {});
  });

  test('a preflight is answered with methods and headers of PROTOCOL.md, for pages that may', () => {
    const { preflightHeaders } = policy({ origins: ['https://app.example.com'] });
    const headers = preflightHeaders({ origin: 'https://app.example.com', host: 'chat.example.com' }, true);
    assert.equal(headers['Access-Control-Allow-Methods'], 'GET, POST, DELETE');
    for (const name of [
      'Authorization',
      'Content-Type',
      'Idempotency-Key',
      'Tideway-Key',
      'Tideway-Instance',
      'Last-Event-ID',
      'traceparent',
    ]) {
      assert.ok(headers['Access-Control-Allow-Headers']?.split(', ').includes(name), name);
    }
    assert.deepEqual(preflightHeaders({ origin: 'https://evil.example', host: 'chat.example.com' }, true), {
      Vary: 'Origin',
    });
  });
});

test('loopback is what only this machine reaches', () => {
  for (const host of ['localhost', 'x.localhost', '127.0.0.1', '127.255.0.1', '::1', '[::1]'])
    assert.equal(isLoopback(host), true, host);
  for (const host of ['0.0.0.0', '::', '10.0.0.1', 'localhost.example', '127.example', ''])
    assert.equal(isLoopback(host), false, host);
});
