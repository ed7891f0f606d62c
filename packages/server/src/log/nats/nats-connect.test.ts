import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test, type TestContext } from 'node:test';
import { nkeys } from '@nats-io/transport-node';
import { generate } from 'selfsigned';
import { nats, startNats, type NatsBroker, type NatsOptions } from '../../../../../scripts/brokers/nats.ts';
import { requireService } from '../../../../../scripts/services.ts';
import { BrokerError } from '../broker/broker-port.ts';
import { loadNatsClient } from './nats-client.ts';
import { NatsRoom, newName, recordsOf } from './testing/nats-room.ts';

let folder: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'tideway-nats-connect-'));
});
after(() => rmSync(folder, { recursive: true }));

async function start(t: TestContext, options: NatsOptions): Promise<NatsBroker | undefined> {
  const missing = nats.missing();
  if (!requireService(t, missing ?? 'nats-server', missing === undefined)) return undefined;
  const broker = await startNats(options);
  t.after(() => broker.stop());
  return broker;
}

/** Connects where it should, with records there and back. */
async function works(t: TestContext, url: string): Promise<void> {
  const room = await NatsRoom.open(url);
  t.after(() => room.port.close());
  await room.store(0, recordsOf('chat:a', 3));
  assert.equal((await room.port.read(0, 0, 10)).length, 3);
}

/** @param isFinal `undefined`: it depends on what arrives first */
async function fails(url: string, words: RegExp, isFinal: boolean | undefined): Promise<void> {
  const room = new NatsRoom(url);
  await assert.rejects(room.connect(), (error: unknown) => {
    assert.ok(error instanceof BrokerError, String(error));
    assert.match(error.message, words);
    assert.doesNotMatch(error.message, /s3cret/);
    if (isFinal !== undefined) assert.equal(error.isFinal, isFinal, error.message);
    return true;
  });
  assert.deepEqual(room.downs, []);
  await room.port.close();
}

function withAccount(url: string, account: string): string {
  return url.replace('://', `://${account}@`);
}

function fileOf(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text, { mode: 0o600 });
  return path;
}

test('a user with a password', async (t) => {
  const broker = await start(t, { authorization: 'user: alice, password: "s3cret"' });
  if (broker === undefined) return;
  const url = broker.urlOf(newName(), 'partitions=1');
  await works(t, withAccount(url, 'alice:s3cret'));
  await fails(withAccount(url, 'alice:s3cret2'), /does not accept the user and password/, true);
  await fails(url, /wants credentials, and the address has none/, true);
});

test('a token', async (t) => {
  const broker = await start(t, { authorization: 'token: "s3cret"' });
  if (broker === undefined) return;
  const url = broker.urlOf(newName(), 'partitions=1');
  await works(t, withAccount(url, 's3cret'));
  await fails(withAccount(url, 's3cret2'), /does not accept the token/, true);
});

test('an nkey, by the file of its seed', async (t) => {
  const [ours, other] = [nkeys.createUser(), nkeys.createUser()];
  const broker = await start(t, { authorization: `users: [{ nkey: ${ours.getPublicKey()} }]` });
  if (broker === undefined) return;
  const seedOf = (pair: nkeys.KeyPair): string => Buffer.from(pair.getSeed()).toString();
  const urlWith = (file: string): string => broker.urlOf(newName(), `partitions=1&nkey=${file}`);
  await works(t, urlWith(fileOf('ours.nk', `${seedOf(ours)}\n`)));
  await fails(urlWith(fileOf('other.nk', seedOf(other))), /does not accept the nkey/, true);
  await fails(urlWith(fileOf('public.nk', ours.getPublicKey())), /is no seed of a user/, true);
  await fails(urlWith(join(folder, 'none.nk')), /none\.nk .* cannot be read/, true);
});

test('credentials of an operator, by their file', async (t) => {
  const [operator, account, user] = [nkeys.createOperator(), nkeys.createAccount(), nkeys.createUser()];
  const ids = [operator, account, user].map((pair) => pair.getPublicKey()) as [string, string, string];
  const jwt = (signer: nkeys.KeyPair, sub: string, claims: object): string => {
    const body = { jti: 'x', iat: 1, iss: signer.getPublicKey(), name: 'x', sub, nats: { version: 2, ...claims } };
    const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
    const text = `${part({ typ: 'JWT', alg: 'ed25519-nkey' })}.${part(body)}`;
    return `${text}.${Buffer.from(signer.sign(Buffer.from(text))).toString('base64url')}`;
  };
  const limits = { subs: -1, data: -1, payload: -1, conn: -1, leaf: -1, imports: -1, exports: -1, wildcards: true };
  const storage = { mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 };
  const accountJwt = jwt(operator, ids[1], { type: 'account', limits: { ...limits, ...storage } });
  const system = nkeys.createAccount().getPublicKey();
  const systemJwt = jwt(operator, system, { type: 'account', limits });
  const broker = await start(t, {
    more: [
      `operator: ${jwt(operator, ids[0], { type: 'operator' })}`,
      `system_account: ${system}`,
      `resolver: MEMORY, resolver_preload: { ${ids[1]}: ${accountJwt}, ${system}: ${systemJwt} }`,
    ].join('\n'),
  });
  if (broker === undefined) return;
  const credentials = (signer: nkeys.KeyPair): string =>
    [
      '-----BEGIN NATS USER JWT-----',
      jwt(signer, ids[2], { type: 'user', subs: -1, data: -1, payload: -1 }),
      '------END NATS USER JWT------',
      '-----BEGIN USER NKEY SEED-----',
      Buffer.from(user.getSeed()).toString(),
      '------END USER NKEY SEED------\n',
    ].join('\n');
  const urlWith = (file: string): string => broker.urlOf(newName(), `partitions=1&credentials=${file}`);
  await works(t, urlWith(fileOf('ours.creds', credentials(account))));
  await fails(urlWith(fileOf('other.creds', credentials(nkeys.createAccount()))), /the credentials file/, true);
});

test('TLS: the certificate must be signed by who the address names, for the host it names', async (t) => {
  const altNames = [{ type: 7 as const, ip: '127.0.0.1' }];
  const made = await generate([{ name: 'commonName', value: 'broker' }], {
    keyType: 'ec',
    extensions: [{ name: 'subjectAltName', altNames }],
  });
  const other = await generate([{ name: 'commonName', value: 'other' }], { keyType: 'ec' });
  const broker = await start(t, { tls: { cert: made.cert, key: made.private } });
  if (broker === undefined) return;
  const ca = fileOf('ca.pem', made.cert);
  await works(t, broker.urlOf(newName(), `partitions=1&ca=${ca}`));
  const name = newName();
  await fails(broker.urlOf(name, `ca=${fileOf('other.pem', other.cert)}`), /certificate is not accepted/, true);
  await fails(broker.urlOf(name, ''), /certificate is not accepted/, true);
  await fails(broker.urlOf(name, `ca=${ca}`).replace('127.0.0.1', 'localhost'), /certificate is not accepted/, true);
});

test('TLS: a certificate for localhost is none for a host that is a number', async (t) => {
  const altNames = [{ type: 2 as const, value: 'localhost' }];
  const made = await generate([{ name: 'commonName', value: 'broker' }], {
    keyType: 'ec',
    extensions: [{ name: 'subjectAltName', altNames }],
  });
  const broker = await start(t, { tls: { cert: made.cert, key: made.private } });
  if (broker === undefined) return;
  const url = broker.urlOf(newName(), `partitions=1&ca=${fileOf('localhost.pem', made.cert)}`);
  await works(t, url.replace('127.0.0.1', 'localhost'));
  await fails(url, /certificate is not accepted/, true);
});

test('TLS: a server that asks for a certificate is given ours, and without one ends the handshake', async (t) => {
  const altNames = [{ type: 7 as const, ip: '127.0.0.1' }];
  const made = await generate([{ name: 'commonName', value: 'broker' }], {
    keyType: 'ec',
    extensions: [{ name: 'subjectAltName', altNames }],
  });
  const broker = await start(t, { tls: { cert: made.cert, key: made.private, ca: made.cert } });
  if (broker === undefined) return;
  const ca = fileOf('mutual-ca.pem', made.cert);
  const own = `cert=${ca}&key=${fileOf('mutual-key.pem', made.private)}`;
  await works(t, broker.urlOf(newName(), `partitions=1&ca=${ca}&${own}`));
  await fails(broker.urlOf(newName(), `ca=${ca}`), /TLS handshake/, undefined);
});

test('TLS is asked for and not there: nothing is said in the clear', async (t) => {
  const broker = await start(t, {});
  if (broker === undefined) return;
  await fails(broker.urlOf(newName()).replace('nats:', 'nats+tls:'), /speaks no TLS/, true);
});

test('JetStream is not enabled, for the server or for the account', async (t) => {
  const broker = await start(t, { isJetStream: false });
  if (broker === undefined) return;
  await fails(broker.urlOf(newName()), /JetStream is not enabled .* nats-server -js/, true);
  const accounts = 'accounts { A: { users: [{ user: a, password: s3cret }] } }';
  const without = await start(t, { more: accounts });
  if (without === undefined) return;
  await fails(withAccount(without.urlOf(newName()), 'a:s3cret'), /not enabled/i, true);
});

test('an account that may not use JetStream is told which subject it lacks', async (t) => {
  const permissions = 'permissions: { publish: { deny: "$JS.API.STREAM.CREATE.>" }, subscribe: ">" }';
  const broker = await start(t, { authorization: `users: [{ user: a, password: s3cret, ${permissions} }]` });
  if (broker === undefined) return;
  await fails(withAccount(broker.urlOf(newName()), 'a:s3cret'), /may not do that .*STREAM\.CREATE/i, true);
});

test('an account that may do what the page about NATS says is enough', async (t) => {
  const name = newName();
  const publish = `publish: { allow: ["$JS.API.>", "${name}.>"] }`;
  const subscribe = `subscribe: { allow: ["_INBOX.>", "${name}.signal.*"] }`;
  const broker = await start(t, {
    authorization: `users: [{ user: a, password: s3cret, permissions: { ${publish}, ${subscribe} } }]`,
  });
  if (broker === undefined) return;
  const room = await NatsRoom.open(withAccount(broker.urlOf(name, 'partitions=1'), 'a:s3cret'));
  t.after(() => room.port.close());
  const heard = new Promise<Buffer>((resolve) => {
    void room.port.onSignal('all', resolve).then(() => room.port.signal('all', Buffer.from('x')));
  });
  await room.store(0, recordsOf('chat:a', 30));
  const reading = await room.follow(0);
  await reading.count(30);
  assert.equal((await room.port.read(0, 10, 10)).length, 10);
  assert.equal((await room.port.at(0, 3))?.number, 3);
  await room.port.trim(0, 5);
  assert.equal((await heard).toString(), 'x');
});

test('more replicas than servers, and streams that would lose records from their middle, are refused', async (t) => {
  const broker = await start(t, {});
  if (broker === undefined) return;
  await fails(broker.urlOf(newName(), 'replicas=3'), /replicas/, true);
  const name = newName();
  const room = await NatsRoom.open(broker.urlOf(name, 'partitions=1'));
  await room.port.close();
  await fails(broker.urlOf(name, 'replicas=3'), /has 1 replicas, the address says 3/, true);
});

async function listen(t: TestContext, server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  return `nats://127.0.0.1:${(server.address() as AddressInfo).port}/x`;
}

test('nobody listens, and hosts that nobody knows', async (t) => {
  const server = createServer();
  const url = await listen(t, server);
  await new Promise((resolve) => server.close(resolve));
  await fails(url, /nobody listens there/, false);
  await fails('nats://no-such-host.invalid/x', /host name is not known/, false);
});

test('what is not NATS: one that greets otherwise, one that hangs up, one that says nothing', async (t) => {
  const sockets = new Set<{ destroy(): void }>();
  t.after(() => sockets.forEach((socket) => socket.destroy()));
  const greeting = createServer((socket) => socket.end('220 mail.example.com ESMTP\r\n'));
  await fails(await listen(t, greeting), /is not NATS/, true);
  const leaving = createServer((socket) => socket.destroy());
  await fails(await listen(t, leaving), /closed the connection; is it NATS/, false);
  const silent = createServer((socket) => sockets.add(socket));
  await fails(await listen(t, silent), /said nothing; is it NATS/, false);
});

test('a server that greets, answers pings and nothing else', async (t) => {
  const sockets = new Set<{ destroy(): void }>();
  t.after(() => sockets.forEach((socket) => socket.destroy()));
  const info = { server_id: 'x', version: '2.15.0', proto: 1, headers: true, jetstream: true, max_payload: 1_048_576 };
  const deaf = createServer((socket) => {
    sockets.add(socket);
    socket.write(`INFO ${JSON.stringify(info)}\r\n`);
    socket.on('data', (chunk: Buffer) => {
      if (chunk.includes('PING\r\n')) socket.write('PONG\r\n');
    });
  });
  await fails(await listen(t, deaf), /JetStream did not answer in time/, false);
});

test('a missing package is named, with how to install it', async () => {
  const missing = Object.assign(new Error('Cannot find package'), { code: 'ERR_MODULE_NOT_FOUND' });
  const packages = { transport: () => Promise.reject(missing), jetstream: () => import('@nats-io/jetstream') };
  await assert.rejects(loadNatsClient(packages), /npm install @nats-io\/transport-node @nats-io\/jetstream/);
  const broken = { ...packages, transport: () => Promise.reject(new Error('no such export')) };
  await assert.rejects(loadNatsClient(broken), /no such export/);
});
