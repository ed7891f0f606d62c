import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { generate } from 'selfsigned';
import { BrokerError } from '../broker/broker-port.ts';
import { loadAmqplib } from './amqplib-package.ts';
import { parseRabbitmqAddress } from './rabbitmq-address.ts';
import { RabbitmqPort } from './rabbitmq-port.ts';
import { failure, rabbitmqTests, wanted, type Room } from './testing/rabbitmq-room.ts';

const made = await generate([{ name: 'commonName', value: 'localhost' }], {
  algorithm: 'sha256',
  extensions: [{ name: 'subjectAltName', altNames: [{ type: 2, value: 'localhost' }] }],
});
const rabbitmqTest = rabbitmqTests({
  tls: { cert: made.cert, key: made.private },
  users: [
    { name: 'tideway', password: 'not-a-secret', may: ['.*', '.*', '.*'] },
    { name: 'reader', password: 'not-a-secret', may: ['^$', '^$', '.*'] },
    { name: 'narrow', password: 'not-a-secret', may: ['^mine', '^mine|^amq\\.default$', '^mine'] },
    { name: 'stranger', password: 'not-a-secret' },
  ],
});

/** Why it does not connect; the message never holds the password. */
async function refusal(url: string, password = 'not-a-secret'): Promise<BrokerError> {
  const error = await failure(new RabbitmqPort(parseRabbitmqAddress(url)).connect(wanted()));
  assert.ok(error instanceof BrokerError, String(error));
  assert.ok(!error.message.includes(password), error.message);
  return error;
}

const at = ({ broker }: Room, rest: string): string => `amqp://${rest.replace('HOST', `127.0.0.1:${broker.port}`)}`;

rabbitmqTest('a wrong password and an unknown user are refused for good', async (room) => {
  for (const [user, password] of [
    ['tideway', 'wrong-secret'],
    ['nobody', 'wrong-secret'],
  ] as const) {
    const error = await refusal(at(room, `${user}:${password}@HOST/`), password);
    assert.match(error.message, new RegExp(`refuses the user "${user}" or its password`));
    assert.equal(error.isFinal, true);
  }
});

rabbitmqTest('a virtual host that is not there, or not for this user, is refused for good', async (room) => {
  const missing = await refusal(at(room, 'tideway:not-a-secret@HOST/shop'));
  assert.match(
    missing.message,
    /does not let the user "tideway" into the virtual host "shop": it is not there, or not/,
  );
  assert.equal(missing.isFinal, true);
  const closed = await refusal(at(room, 'stranger:not-a-secret@HOST/'));
  assert.match(closed.message, /does not let the user "stranger" into the virtual host "\/"/);
  assert.equal(closed.isFinal, true);
});

rabbitmqTest('a user that may not make the streams is told what it may not', async (room) => {
  const error = await refusal(at(room, `reader:not-a-secret@HOST/?name=${room.name}`));
  assert.match(error.message, /the user "reader" is not allowed to lock .*ACCESS_REFUSED/);
  assert.equal(error.isFinal, true);
});

rabbitmqTest(
  "a user that may use what begins with the log's name, and the default exchange, is enough",
  async (room) => {
    const url = at(room, 'narrow:not-a-secret@HOST/?name=mine');
    const port = room.port('', url);
    await port.connect(wanted());
    await room.store(port, room.records(3));
    assert.deepEqual(await port.bounds(0), { oldest: 0, newest: 3 });
    const other = await refusal(at(room, 'narrow:not-a-secret@HOST/?name=other'));
    assert.match(other.message, /not allowed/);
  },
);

rabbitmqTest('with TLS the certificate must be trusted, and then records go through', async (room) => {
  const host = `localhost:${room.broker.tlsPort}`;
  const unknown = await refusal(`amqps://tideway:not-a-secret@${host}/`);
  assert.match(unknown.message, /certificate of localhost:\d+ is not trusted .*ca=FILE/);
  assert.equal(unknown.isFinal, true);
  const folder = await mkdtemp(join(tmpdir(), 'tideway-rabbitmq-ca-'));
  try {
    const ca = join(folder, 'ca.pem');
    await writeFile(ca, made.cert);
    const port = room.port(`&ca=${encodeURIComponent(ca)}`, `amqps://tideway:not-a-secret@${host}/?name=${room.name}`);
    await port.connect(wanted());
    await room.store(port, room.records(2));
    assert.deepEqual(await port.bounds(0), { oldest: 0, newest: 2 });
    const otherName = await refusal(
      `amqps://tideway:not-a-secret@127.0.0.1:${room.broker.tlsPort}/?ca=${encodeURIComponent(ca)}`,
    );
    assert.match(otherName.message, /not trusted \(ERR_TLS_CERT_ALTNAME_INVALID/);
    const missing = await refusal(`amqps://tideway:not-a-secret@${host}/?ca=${encodeURIComponent(`${ca}.none`)}`);
    assert.match(missing.message, /ca\.pem\.none cannot be read \(ENOENT\)/);
    assert.equal(missing.isFinal, true);
  } finally {
    await rm(folder, { recursive: true });
  }
});

rabbitmqTest('TLS where there is none, and none where there is, is said', async (room) => {
  const { port, tlsPort } = room.broker;
  assert.match((await refusal(`amqps://tideway:not-a-secret@127.0.0.1:${port}/`)).message, /TLS|hung up/);
  assert.match((await refusal(`amqp://tideway:not-a-secret@127.0.0.1:${tlsPort}/`)).message, /does not speak AMQP/);
});

/** A server that is no RabbitMQ. */
async function stranger(onSocket: (socket: Socket) => void, run: (port: number) => Promise<void>): Promise<void> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    onSocket(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    await run((server.address() as AddressInfo).port);
  } finally {
    for (const socket of sockets) socket.destroy();
    server.close();
  }
}

test('what is no RabbitMQ is said to be none, and may become one', async () => {
  const says: readonly ((socket: Socket) => void)[] = [
    (socket) => socket.once('data', () => socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n')),
    (socket) => socket.once('data', () => socket.end('AMQP\u0003\u0001\u0000\u0000')),
    (socket) => socket.destroy(),
  ];
  for (const onSocket of says) {
    await stranger(onSocket, async (port) => {
      const error = await refusal(`amqp://u:not-a-secret@127.0.0.1:${port}/`);
      assert.match(error.message, /does not speak AMQP 0-9-1 .*is it RabbitMQ\?/);
      assert.equal(error.isFinal, false);
    });
  }
});

test('a server that accepts and says nothing is given up', async () => {
  await stranger(
    () => undefined,
    async (port) => {
      const error = await refusal(`amqp://u:not-a-secret@127.0.0.1:${port}/`);
      assert.match(error.message, /said nothing in time/);
      assert.equal(error.isFinal, false);
    },
  );
});

test('nobody there, and no such host', async () => {
  let free = 0;
  await stranger(
    () => undefined,
    (port) => Promise.resolve(void (free = port)),
  );
  assert.match(
    (await refusal(`amqp://u:not-a-secret@127.0.0.1:${free}/`)).message,
    /nobody listens on 127\.0\.0\.1:\d+/,
  );
  assert.match(
    (await refusal('amqp://u:not-a-secret@no-such-host.invalid/')).message,
    /no-such-host\.invalid was not found/,
  );
});

test('without the package, the message says how to install it', async () => {
  const none = Object.assign(new Error("Cannot find package 'amqplib'"), { code: 'ERR_MODULE_NOT_FOUND' });
  const error = await failure(loadAmqplib(() => Promise.reject(none)));
  assert.ok(error instanceof BrokerError && error.isFinal);
  assert.match(error.message, /npm install amqplib/);
  const broken = new SyntaxError('broken');
  assert.equal(await failure(loadAmqplib(() => Promise.reject(broken))), broken);
});
