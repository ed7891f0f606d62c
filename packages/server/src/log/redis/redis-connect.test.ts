import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { RedisServer } from '../../../../../scripts/brokers/redis-server.ts';
import { BrokerError } from '../broker/broker-port.ts';
import type { RedisPortOptions } from './redis-port.ts';
import { makeCertificate } from './testing/certificate.ts';
import { PortRoom, records, redisTest, startServer, wantedConstants } from './testing/redis-room.ts';

/** What connecting is refused with; a password is never in it. */
async function refusal(t: TestContext, url: string, options: RedisPortOptions = {}): Promise<BrokerError> {
  const { port } = new PortRoom(t, url, options);
  const error = await port.connect(wantedConstants()).then(
    () => assert.fail(`${url} was connected`),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof BrokerError, String(error));
  assert.ok(error.message.startsWith(`${port.place}: `), error.message);
  assert.doesNotMatch(`${error.message} ${error.stack}`, /secret/);
  return error;
}

function assertRefusal(error: BrokerError, isFinal: boolean, message: RegExp): void {
  assert.match(error.message, message);
  assert.equal(error.isFinal, isFinal, error.message);
}

/** A server that is none of Redis. */
async function listen(t: TestContext, onConnection: (socket: Socket) => void): Promise<string> {
  const server = createServer((socket) => {
    socket.on('error', () => {}).resume();
    onConnection(socket);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return `redis://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

redisTest('a host where nothing listens, or that does not exist, may come yet', async (t) => {
  const server = await startServer(t);
  await server.kill();
  assertRefusal(await refusal(t, server.url), false, /nothing listens there \(ECONNREFUSED\)/);
  assertRefusal(await refusal(t, 'redis://no-such-host.invalid'), false, /\((ENOTFOUND|EAI_AGAIN)\)/);
});

redisTest('a server that accepts and never answers is given up in time', async (t) => {
  const server = await startServer(t);
  server.pause();
  const options = { times: { answerMs: 200, probeMs: 100 } };
  assertRefusal(await refusal(t, server.url, options), false, /accepts connections but does not answer/);
});

redisTest('what is not Redis is said not to be', async (t) => {
  const web = await listen(t, (socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
  assertRefusal(await refusal(t, web), true, /it answers, but not as Redis does/);
  const rude = await listen(t, (socket) => socket.destroy());
  assertRefusal(await refusal(t, rude), false, /closed the connection|the connection was cut/);
});

redisTest('a password that is wrong, missing or not asked for is said, never repeated', async (t) => {
  const server = await startServer(t, { password: 'right', user: 'on >pass ~* &* +@all' });
  const at = `127.0.0.1:${server.port}`;
  assertRefusal(await refusal(t, `redis://:secret@${at}`), true, /refuses this user or password \(WRONGPASS/);
  assertRefusal(await refusal(t, `redis://nobody:secret@${at}`), true, /WRONGPASS/);
  assertRefusal(await refusal(t, `redis://${at}`), true, /asks for a password.*NOAUTH/);
  await PortRoom.open(t, `redis://:right@${at}`);
  await PortRoom.open(t, `redis://app:pass@${at}/b`);
  const open = await startServer(t);
  const unasked = await refusal(t, `redis://:secret@127.0.0.1:${open.port}`);
  assertRefusal(unasked, true, /asks for no password, but the address gives one/);
});

redisTest('a user who lacks a right is told which', async (t) => {
  const server = await startServer(t, { user: 'on >pass ~{tideway}:* ~{tideway:*}:* &* +@all -client|unblock' });
  const url = `redis://app:pass@127.0.0.1:${server.port}`;
  assertRefusal(await refusal(t, `${url}/other`), true, /lacks a permission on Redis \(NOPERM.*keys/);
  assertRefusal(await refusal(t, url), true, /NOPERM .*client\|unblock/);
});

redisTest('TLS: a certificate of a known authority is accepted, any other is not', async (t) => {
  const [tls, other] = await Promise.all([makeCertificate(), makeCertificate()]);
  const server = await startServer(t, { tls });
  const [known, unknown] = [join(server.folder, 'ca.pem'), join(server.folder, 'other.pem')];
  await writeFile(known, tls.certificate);
  await writeFile(unknown, other.certificate);
  const room = await PortRoom.open(t, `${server.url}/tideway?ca=${known}`);
  await room.store(records(2));
  assertRefusal(await refusal(t, server.url), true, /its certificate is not accepted: it is signed by itself/);
  assertRefusal(await refusal(t, `${server.url}?ca=${unknown}`), true, /its certificate is not accepted/);
  const elsewhere = server.url.replace('127.0.0.1', 'localhost');
  assertRefusal(
    await refusal(t, `${elsewhere}?ca=${known}`),
    true,
    /for another host \(ERR_TLS_CERT_ALTNAME_INVALID\)/,
  );
  assertRefusal(await refusal(t, `${server.url}?ca=${known}.no`), true, /ENOENT/);
  assertRefusal(await refusal(t, server.url.replace('rediss', 'redis')), false, /TLS only, write rediss:/);
  const plain = await startServer(t);
  const options = { times: { answerMs: 300, probeMs: 100 } };
  const notSecure = await refusal(t, plain.url.replace('redis', 'rediss'), options);
  assertRefusal(notSecure, false, /where it does not speak TLS, write redis:/);
});

redisTest('a replica is refused by name; among several members the primary is found', async (t) => {
  const primary = await startServer(t);
  const replica = await startServer(t, { replicaOf: primary });
  await replica.untilReplicated();
  const message = new RegExp(`127.0.0.1:${replica.port} is a read-only replica of 127.0.0.1:${primary.port}`);
  assertRefusal(await refusal(t, replica.url), false, message);
  const both = `redis://127.0.0.1:${replica.port},127.0.0.1:${primary.port}`;
  const room = await PortRoom.open(t, both);
  await room.store(records(1));
  replica.cli('REPLICAOF', 'NO', 'ONE');
  assertRefusal(await refusal(t, both), false, /both say that they are the primary/);
});

redisTest('a member that never answers holds up nobody', async (t) => {
  const silent = await listen(t, () => {});
  const server = await startServer(t);
  const members = `${silent},127.0.0.1:${server.port}`;
  const room = await PortRoom.open(t, members, 1, { times: { answerMs: 60_000, probeMs: 60_000 } });
  await room.store(records(1));
});

redisTest('keys that hold something else, and constants of another version, are left alone', async (t) => {
  const server = await startServer(t);
  server.cli('RPUSH', '{a}:constants', 'x');
  assertRefusal(
    await refusal(t, `${server.url}/a`),
    true,
    /another program uses the same name in this Redis \(WRONGTYPE/,
  );
  server.cli('SET', '{b}:constants', '{"format":2}');
  assertRefusal(await refusal(t, `${server.url}/b`), true, /key {b}:constants holds no constants .* another name/);
  server.cli('SET', '{c:0}:records', 'x');
  assertRefusal(await refusal(t, `${server.url}/c`), true, /WRONGTYPE/);
  assert.equal(server.cli('GET', '{c:0}:records'), 'x');
});

redisTest('a Redis that deletes keys when its memory is full is refused', async (t) => {
  const settings = { maxmemory: '100mb', 'maxmemory-policy': 'allkeys-lru' };
  const server = await startServer(t, { settings });
  assertRefusal(await refusal(t, server.url), true, /maxmemory-policy is allkeys-lru, .* a log needs noeviction/);
  server.cli('CONFIG', 'SET', 'maxmemory-policy', 'volatile-lru');
  await PortRoom.open(t, server.url);
});

redisTest('a database of its own is a log of its own', async (t) => {
  const server = await startServer(t);
  const [one, other] = [await PortRoom.open(t, `${server.url}?database=1`), await PortRoom.open(t, server.url)];
  await one.store(records(2));
  assert.deepEqual(await other.port.bounds(0), { oldest: 0, newest: 0 });
  assertRefusal(await refusal(t, `${server.url}?database=99`), true, /no such database/);
});

redisTest('what stored survives is said as the servers are set', async (t) => {
  const expected = [
    ['always', /the end of the Redis process and of its machine/],
    ['everysec', /may cost the last two seconds/],
    [false, /append-only file is off/],
  ] as const;
  for (const [fsync, words] of expected) {
    const server = await RedisServer.start({ fsync });
    t.after(() => server.stop());
    const { port } = await PortRoom.open(t, server.url);
    assert.match(port.declares.storedSurvives, words);
    assert.match(port.declares.storedSurvives, /a failover may lose/);
  }
});

test('without ioredis the message names the package and how to install it', async () => {
  const hide = `import { registerHooks } from 'node:module';
    registerHooks({ resolve(name, context, next) {
      if (name !== 'ioredis') return next(name, context);
      throw Object.assign(new Error('hidden'), { code: 'ERR_MODULE_NOT_FOUND' });
    } });`;
  const open = `import { createLog } from './registry.ts';
    createLog('redis://127.0.0.1').then((log) => log.open()).catch(({ message, isFinal }) => console.log(isFinal, message));`;
  const args = ['--conditions=tideway-source', '--import', `data:text/javascript,${encodeURIComponent(hide)}`];
  const { stdout } = await promisify(execFile)(process.execPath, [...args, '--input-type=module', '--eval', open], {
    cwd: join(import.meta.dirname, '..'),
  });
  assert.match(stdout, /^true .*needs the package ioredis, which is not installed: npm install ioredis/);
});
