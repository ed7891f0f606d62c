import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer as createHttpServer } from 'node:http';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { makeKeys } from '../../../../../scripts/brokers/kafka-settings.ts';
import { BrokerError } from '../broker/broker-port.ts';
import { parseKafkaAddress } from './kafka-address.ts';
import { KafkaPort } from './kafka-port.ts';
import { loadKafka } from './kafka-library.ts';
import { assertStored, failure, kafkaRoom, makePort, newName, Reader, records, wanted } from './testing/kafka-room.ts';

const broker = kafkaRoom({ sasl: 'scram-sha-512', tls: true });

/** Why a port cannot connect; never with the password. */
async function refusal(t: TestContext, url: string): Promise<BrokerError> {
  const error = await failure(makePort(t, url).connect(wanted(1)));
  assert.ok(error instanceof BrokerError, String(error));
  assert.doesNotMatch(error.message, /let me in|let%20me|wrong/);
  return error;
}

async function listen(t: TestContext, server: Server): Promise<number> {
  t.after(() => server.close());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

test('with the right user, password and certificate records go and come over TLS', async (t) => {
  const cluster = await broker(t);
  if (cluster === undefined) return;
  const port = makePort(t, cluster.url(newName(), { partitions: '1' }));
  await port.connect(wanted(1));
  assert.doesNotMatch(port.place, /@|let/);
  const reader = await Reader.start(port, 0, 0);
  assertStored(await port.append(0, records(1, 100), 10_000));
  await reader.count(100);
});

test('a wrong password, user or mechanism is refused for good, in words without the password', async (t) => {
  const cluster = await broker(t);
  if (cluster === undefined) return;
  const url = cluster.url(newName());
  for (const bad of [url.replace('let%20me%20in', 'wrong'), url.replace('tideway:', 'somebody:')]) {
    const error = await refusal(t, bad);
    assert.match(error.message, /refuses the user or the password \(SCRAM-SHA-512\)/);
    assert.equal(error.isFinal, true);
  }
  const other = await refusal(t, url.replace('scram-sha-512', 'plain'));
  assert.match(other.message, /does not know the login mechanism PLAIN; choose another with sasl=/);
  assert.equal(other.isFinal, true);
  const none = await refusal(t, url.replace(/\/\/.*@/, '//').replace('sasl=scram-sha-512&', ''));
  assert.match(none.message, /may want a login/);
});

test('a certificate that is not trusted is refused for good, TLS where there is none and none where there is, too', async (t) => {
  const cluster = await broker(t);
  if (cluster === undefined) return;
  const url = cluster.url(newName());
  const folder = await mkdtemp(join(tmpdir(), 'tideway-certificate-'));
  t.after(() => rm(folder, { recursive: true }));
  const other = join(folder, 'other.pem');
  await writeFile(other, (await makeKeys()).certificate);
  for (const bad of [url.replace(/&ca=[^&]*/, ''), url.replace(/ca=[^&]*/, `ca=${encodeURIComponent(other)}`)]) {
    const error = await refusal(t, bad);
    assert.match(error.message, /certificate is not trusted .*name the one to trust with ca=/);
    assert.equal(error.isFinal, true);
  }
  const plain = await refusal(t, url.replace('kafka+tls', 'kafka').replace(/&ca=[^&]*/, ''));
  assert.match(plain.message, /it speaks TLS: write kafka\+tls:\/\/|may want TLS/);
  const inner = cluster.members[0]?.place.innerPort;
  const tls = await refusal(t, `kafka+tls://127.0.0.1:${inner}/x`);
  assert.match(tls.message, /may not speak TLS on this port|ended the connection/);
  const missing = await failure(makePort(t, url.replace(/ca=[^&]*/, 'ca=/no/such.pem')).connect(wanted(1)));
  assert.match(missing.message, /no such file.*\/no\/such\.pem/);
});

test('what is no Kafka is said to be none, what is silent does not answer, and where nobody listens that is said', async (t) => {
  const http = await listen(
    t,
    createHttpServer((_, answer) => answer.end('hello')),
  );
  assert.match((await refusal(t, `kafka://127.0.0.1:${http}/x`)).message, /not (be )?Kafka/);
  const chatty = await listen(
    t,
    createServer((socket) => {
      socket.on('error', () => undefined);
      socket.write('220 mail.example ESMTP ready\r\n');
    }),
  );
  assert.match((await refusal(t, `kafka://127.0.0.1:${chatty}/x`)).message, /not (be )?Kafka/);
  const silent = await listen(
    t,
    createServer((socket) => void socket.on('error', () => undefined)),
  );
  const quiet = await refusal(t, `kafka://127.0.0.1:${silent}/x`);
  assert.match(quiet.message, /it does not answer/);
  assert.equal(quiet.isFinal, false);
  const nobody = await refusal(t, 'kafka://127.0.0.1:1,127.0.0.1:2/x');
  assert.match(nobody.message, /127\.0\.0\.1:1: nobody listens there; 127\.0\.0\.1:2: nobody listens there/);
  assert.equal(nobody.isFinal, false);
});

test('without its package a log on Kafka says what to install', async () => {
  const missing = new Error("Cannot find package '@platformatic/kafka'");
  const port = new KafkaPort(parseKafkaAddress('kafka://127.0.0.1:1/x'), () =>
    loadKafka(() => Promise.reject(Object.assign(missing, { code: 'ERR_MODULE_NOT_FOUND' }))),
  );
  const error = await failure(port.connect(wanted(1)));
  assert.ok(error instanceof BrokerError && error.isFinal);
  assert.match(error.message, /npm install @platformatic\/kafka/);
});

test('a topic that is compacted cannot hold a log', async (t) => {
  const cluster = await broker(t);
  if (cluster === undefined) return;
  const inner = `127.0.0.1:${cluster.members[0]?.place.innerPort}`;
  const { Admin } = await import('@platformatic/kafka');
  const admin = new Admin({ clientId: 'test', bootstrapBrokers: [inner] });
  t.after(() => admin.close());
  const name = newName();
  const configs = [{ name: 'cleanup.policy', value: 'compact' }];
  await admin.createTopics({ topics: [name], partitions: 1, replicas: 1, configs });
  const error = await refusal(t, cluster.url(name));
  assert.match(error.message, /cleanup\.policy=compact; a log needs "delete"/);
  assert.equal(error.isFinal, true);
});
