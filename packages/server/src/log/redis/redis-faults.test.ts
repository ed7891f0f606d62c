import assert from 'node:assert/strict';
import { TailError } from '../log.ts';
import { SilencingProxy } from './testing/silencing-proxy.ts';
import { numbers, PortRoom, Reader, records, redisTest, startServer, wantedConstants } from './testing/redis-room.ts';

/** What happens to a partition is found soon; a server is given its time to answer. */
const watchful = { times: { answerMs: 5_000, probeMs: 200 } };
const impatient = { times: { answerMs: 2_000, probeMs: 500 } };

redisTest('killed and started again: down at once, and everything stored is there', async (t) => {
  const server = await startServer(t);
  const room = new PortRoom(t, server.url);
  const constants = await room.port.connect(wantedConstants(2));
  const reader = new Reader();
  await room.port.follow(0, 0, reader.events);
  await room.store(records(500));
  await reader.count(500);
  await server.kill();
  assert.match((await room.down()).message, /^redis:\/\/127.0.0.1:\d+\/tideway: .*(closed the connection|was cut)/);
  assert.match((await reader.end()).message, /closed the connection|was cut/);
  const refused = await room.appendOne();
  assert.ok(refused.state === 'refused' && refused.code === 'not_durable', JSON.stringify(refused));
  await assert.rejects(room.port.bounds(0), TailError);
  await assert.rejects(room.port.connect(wantedConstants()), /nothing listens there/);
  await server.restart();
  assert.deepEqual(await room.port.connect(wantedConstants()), constants);
  assert.deepEqual(await room.port.bounds(0), { oldest: 0, newest: 500 });
  await room.store(records(1));
  assert.equal(room.downs.length, 1);
  assert.equal(reader.ends.length, 1);
});

redisTest(
  'a server that stops to answer is found; what was sent to it is unknown, and never comes later',
  async (t) => {
    const server = await startServer(t);
    const room = await PortRoom.open(t, server.url, 1, impatient);
    await room.store(records(1));
    server.pause();
    const asked = await room.appendOne(100);
    assert.ok(asked.state === 'unknown', JSON.stringify(asked));
    assert.match(asked.message, /no answer within 100 ms/);
    assert.match((await room.down()).message, /accepts connections but does not answer/);
    await assert.rejects(room.port.connect(wantedConstants()), /accepts connections but does not answer/);
    server.resume();
    await room.port.connect(wantedConstants());
    // Whether the first one arrived was settled before the new connection: it is in front of what follows, or nowhere.
    const { newest } = await room.port.bounds(0);
    await room.store(records(1));
    await room.store(records(1));
    assert.deepEqual(await room.port.bounds(0), { oldest: 0, newest: newest + 2 });
  },
);

redisTest('a node that listens only finds out, too', async (t) => {
  const server = await startServer(t);
  const room = await PortRoom.open(t, server.url, 1, impatient);
  const reader = new Reader();
  await room.port.follow(0, 0, reader.events);
  server.pause();
  await room.down();
  await reader.end();
  assert.equal(room.downs.length, 1);
});

redisTest('connections of before are ended before anything new is written', async (t) => {
  const server = await startServer(t);
  const room = await PortRoom.open(t, server.url);
  const ids = (): string[] =>
    [...server.cli('CLIENT', 'LIST').matchAll(/^id=(\d+) .*name=tideway-/gm)].map((m) => m[1]!);
  const before = ids();
  assert.equal(before.length, 2);
  await room.port.connect(wantedConstants());
  const after = ids();
  assert.equal(after.length, 2);
  assert.deepEqual(
    after.filter((id) => before.includes(id)),
    [],
  );
});

redisTest('every connection that goes silent is found, whichever it is', async (t) => {
  const server = await startServer(t);
  const proxy = await SilencingProxy.listen(t, server.port);
  const room = new PortRoom(t, proxy.url, impatient);
  // In the order in which they are opened.
  for (const [n, silenced] of ['commands', 'signals', 'follower', 'reads'].entries()) {
    await room.port.connect(wantedConstants());
    const reader = new Reader();
    await room.port.follow(0, 0, reader.events);
    await room.store(records(1));
    await reader.count(n + 1);
    proxy.silence(n);
    if (silenced === 'reads') await assert.rejects(room.port.at(0, 1), /does not answer/);
    assert.match((await room.down()).message, /does not answer/, silenced);
    await reader.end();
    room.downs.length = 0;
    proxy.forget();
  }
  assert.deepEqual(room.downs, []);
});

redisTest('closed while it connects, a port leaves no connection behind', async (t) => {
  const server = await startServer(t);
  const room = new PortRoom(t, server.url);
  const connecting = room.port.connect(wantedConstants());
  await room.port.close();
  await assert.rejects(connecting, /closed meanwhile/);
  assert.equal(server.cli('CLIENT', 'LIST').split('\n').length, 1);
  assert.deepEqual(room.downs, []);
});

redisTest('a Redis that forgot its scripts is sent them again', async (t) => {
  const server = await startServer(t);
  const room = await PortRoom.open(t, server.url);
  await room.store(records(1));
  server.cli('SCRIPT', 'FLUSH');
  await room.store(records(1));
  assert.deepEqual(await room.port.bounds(0), { oldest: 0, newest: 2 });
});

redisTest('FLUSHALL is another epoch, found also where nobody appends', async (t) => {
  const server = await startServer(t);
  const room = new PortRoom(t, server.url, watchful);
  const constants = await room.port.connect(wantedConstants(2));
  const reader = new Reader();
  await room.port.follow(1, 0, reader.events);
  await room.store(records(5), 1);
  await reader.count(5);
  server.cli('FLUSHALL');
  assert.match((await room.down()).message, /another life of this partition/);
  await reader.end();
  const again = await room.port.connect(wantedConstants(2));
  assert.equal(again.partitions.length, 2);
  for (const [n, { epoch }] of again.partitions.entries()) assert.notEqual(epoch, constants.partitions[n]?.epoch);
  assert.deepEqual(await room.port.bounds(1), { oldest: 0, newest: 0 });
});

redisTest('what is asked of a life that is over is refused before anything is written or let go of', async (t) => {
  const server = await startServer(t);
  const [here, there] = [await PortRoom.open(t, server.url), await PortRoom.open(t, server.url)];
  await here.store(records(20));
  server.cli('FLUSHALL');
  const refused = await here.appendOne();
  assert.ok(refused.state === 'refused' && refused.code === 'not_durable', JSON.stringify(refused));
  assert.match(refused.message, /another life of this partition \(NOGROUP/);
  await here.port.connect(wantedConstants());
  await here.store(records(10));
  const late = await there.appendOne();
  assert.ok(late.state === 'refused', JSON.stringify(late));
  await there.down();
  assert.deepEqual(await here.port.bounds(0), { oldest: 0, newest: 10 });
  const asks = [
    () => here.port.trim(0, 10),
    () => here.port.read(0, 0, 1),
    () => here.port.at(0, 1),
    () => here.port.bounds(0),
  ];
  for (const ask of asks) {
    await here.port.connect(wantedConstants());
    server.cli('DEL', '{tideway:0}:records');
    await assert.rejects(ask(), (error: Error) => error instanceof TailError && error.reason === 'epoch');
  }
});

redisTest('one stream that is deleted is one partition with another epoch', async (t) => {
  const server = await startServer(t);
  const room = new PortRoom(t, server.url, watchful);
  const constants = await room.port.connect(wantedConstants(3));
  server.cli('DEL', '{tideway:1}:records');
  await room.down();
  const again = await room.port.connect(wantedConstants(3));
  assert.equal(again.partitions[0]?.epoch, constants.partitions[0]?.epoch);
  assert.notEqual(again.partitions[1]?.epoch, constants.partitions[1]?.epoch);
  assert.equal(again.partitions[2]?.epoch, constants.partitions[2]?.epoch);
});

redisTest('a stream that some client made first is given an epoch, and keeps its records', async (t) => {
  const server = await startServer(t);
  server.cli('XADD', '{tideway:0}:records', '0-*', 'channel', 'a:b', 'value', '1');
  const room = await PortRoom.open(t, server.url);
  assert.deepEqual(await room.port.bounds(0), { oldest: 0, newest: 1 });
  assert.equal((await room.port.read(0, 0, 10))[0]?.channel, 'a:b');
});

redisTest('the epoch outlives trimming everything, a rewrite of the file and a restart', async (t) => {
  const server = await startServer(t, { settings: { 'aof-use-rdb-preamble': 'no' } });
  const room = new PortRoom(t, server.url);
  const constants = await room.port.connect(wantedConstants());
  await room.store(records(10));
  await room.port.trim(0, 10);
  server.cli('BGREWRITEAOF');
  await server.untilSaved();
  await server.restart();
  assert.deepEqual(await room.port.connect(wantedConstants()), constants);
  assert.deepEqual(await room.port.bounds(0), { oldest: 10, newest: 10 });
  await room.store(records(1));
  assert.equal((await room.port.read(0, 10, 5))[0]?.number, 11);
});

redisTest('started again empty, it is another log', async (t) => {
  const server = await startServer(t);
  const room = new PortRoom(t, server.url);
  const constants = await room.port.connect(wantedConstants());
  await room.store(records(3));
  await server.kill();
  await room.down();
  await server.wipe();
  await server.restart();
  assert.notDeepEqual(await room.port.connect(wantedConstants()), constants);
});

redisTest('a full memory refuses appends in words; reading and trimming go on', async (t) => {
  const server = await startServer(t);
  const room = await PortRoom.open(t, server.url);
  await room.store(records(10));
  server.cli('CONFIG', 'SET', 'maxmemory', '1mb');
  const refused = await room.appendOne();
  assert.ok(refused.state === 'refused' && refused.code === 'not_durable', JSON.stringify(refused));
  assert.match(refused.message, /reached its maxmemory .*\(OOM/);
  assert.equal((await room.port.read(0, 0, 100)).length, 10);
  await room.port.trim(0, 5);
  server.cli('CONFIG', 'SET', 'maxmemory', '0');
  await room.store(records(1));
  assert.deepEqual(await room.port.bounds(0), { oldest: 5, newest: 11 });
  assert.deepEqual(room.downs, []);
});

redisTest(
  'too few replicas, and a primary that becomes a replica, are said; nothing is read from it any more',
  async (t) => {
    const primary = await startServer(t);
    const room = await PortRoom.open(t, primary.url, 1, { times: { answerMs: 2_000, probeMs: 60_000 } });
    await room.store(records(3));
    primary.cli('CONFIG', 'SET', 'min-replicas-to-write', '1');
    const few = await room.appendOne();
    assert.ok(few.state === 'refused', JSON.stringify(few));
    assert.match(few.message, /fewer replicas than its min-replicas-to-write .*NOREPLICAS/);
    primary.cli('CONFIG', 'SET', 'min-replicas-to-write', '0');
    await room.store(records(1));
    const reader = new Reader();
    await room.port.follow(0, 4, reader.events);
    // Of nobody: so it keeps what it has.
    primary.cli('REPLICAOF', '127.0.0.1', '1');
    await assert.rejects(room.port.bounds(0), /became a replica/);
    await reader.end();
    await room.down();
  },
);

redisTest('replicas=1: stored is what a replica has; without one it is unknown', async (t) => {
  const primary = await startServer(t);
  const replica = await startServer(t, { replicaOf: primary });
  await replica.untilReplicated();
  const room = await PortRoom.open(t, `${primary.url}?replicas=1`);
  assert.match(room.port.declares.storedSurvives, /received by 1 replica, so a failover to one of these loses nothing/);
  await room.store(records(5));
  await replica.kill();
  const alone = await room.appendOne();
  assert.ok(alone.state === 'unknown', JSON.stringify(alone));
  assert.match(alone.message, /0 of 1 replicas have received it/);
});

redisTest(
  'a failover to a stale replica has the same epoch and other records: that is for the tags to find',
  async (t) => {
    const primary = await startServer(t);
    const replica = await startServer(t, { replicaOf: primary });
    await replica.untilReplicated();
    const members = `redis://127.0.0.1:${primary.port},127.0.0.1:${replica.port}`;
    const room = new PortRoom(t, members);
    const constants = await room.port.connect(wantedConstants());
    await room.store(records(10));
    await replica.untilReplicated();
    replica.pause();
    await room.store(records(5));
    await primary.kill();
    await room.down();
    replica.resume();
    replica.cli('REPLICAOF', 'NO', 'ONE');
    assert.deepEqual(await room.port.connect(wantedConstants()), constants);
    const { newest } = await room.port.bounds(0);
    assert.ok(newest >= 10 && newest <= 15, String(newest));
    await room.store(records(3));
    assert.deepEqual(
      (await room.port.read(0, 0, 100)).map(({ number }) => number),
      numbers(1, newest + 3),
    );
  },
);
