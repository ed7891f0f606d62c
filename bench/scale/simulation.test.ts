import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Costs } from './costs.ts';
import { Dice, Popularity } from './dice.ts';
import { simulate, type Plan } from './simulation.ts';
import { followersPerAppend, type Workload } from './workload.ts';

const log = { ingestUs: 20, brokerWriteUs: 6, brokerReadUs: 2, latencyMs: 2 };
const costs: Costs = {
  processMb: 100,
  connectionKb: 14,
  tlsConnectionKb: 56,
  writeUs: 7,
  recordUs: 1,
  appendUs: 20,
  batchUs: 300,
  batchTurnUs: 100,
  syncMs: 0.3,
  frameBytes: 150,
  comebackUs: 400,
  comebackJwtUs: 1_800,
  logs: { redis: log, nats: log, rabbitmq: log, kafka: log },
};

const rooms: Workload = {
  connections: 100_000,
  channels: 10_000,
  exponent: 0.5,
  follows: 1,
  appendsPerSecond: 2_000,
  burst: 1,
  payloadBytes: 200,
};
const plan: Plan = { workload: rooms, nodes: 8, log: 'nats', seconds: 4, seed: 1 };

function near(actual: number, expected: number, share: number): void {
  const off = Math.abs(actual / expected - 1);
  assert.ok(off <= share, `${actual} is ${Math.round(off * 100)} % off ${expected}`);
}

describe('dice', () => {
  test('the same seed throws the same, another one something else', () => {
    const throwsOf = (seed: number): number[] => {
      const dice = new Dice(seed);
      return Array.from({ length: 20 }, () => dice.fraction());
    };
    assert.deepEqual(throwsOf(7), throwsOf(7));
    assert.notDeepEqual(throwsOf(7), throwsOf(8));
  });

  test('counts and gaps have the mean that was asked for', () => {
    const dice = new Dice(1);
    for (const mean of [0.3, 5, 400]) {
      const counts = Array.from({ length: 20_000 }, () => dice.count(mean));
      near(counts.reduce((sum, one) => sum + one, 0) / counts.length, mean, 0.05);
    }
    const gaps = Array.from({ length: 20_000 }, () => dice.gapMs(50));
    near(gaps.reduce((sum, one) => sum + one, 0) / gaps.length, 20, 0.05);
  });

  test('channels are thrown as often as they are popular', () => {
    const popularity = new Popularity(100, 1);
    const dice = new Dice(3);
    const seen = Array.from({ length: 100 }, () => 0);
    for (let n = 0; n < 100_000; n++) seen[popularity.throw(dice)]!++;
    near(seen[0]! / seen[9]!, 10, 0.1);
    near(seen[0]! / 100_000, popularity.shares[0]!, 0.05);
  });
});

describe('the simulation', () => {
  test('gives the same for the same seed', () => {
    assert.deepEqual(simulate(plan, costs), simulate(plan, costs));
  });

  test('delivers every record to each of its followers, whatever the number of nodes', () => {
    const wanted = rooms.appendsPerSecond * followersPerAppend(rooms);
    for (const nodes of [1, 8, 40]) near(simulate({ ...plan, nodes }, costs).deliveriesPerSecond, wanted, 0.05);
  });

  test('a node is as busy as its work adds up to', () => {
    const { cpuShare, deliveriesPerSecond } = simulate(plan, costs);
    const perNodeUs = (own: number, us: number): number => (own / 8) * us;
    const leastUs =
      rooms.appendsPerSecond * log.ingestUs +
      perNodeUs(rooms.appendsPerSecond, costs.appendUs) +
      perNodeUs(deliveriesPerSecond, costs.writeUs + costs.recordUs);
    const mostUs = leastUs + perNodeUs(rooms.appendsPerSecond, costs.batchTurnUs);
    assert.ok(cpuShare * 1e6 > leastUs * 0.95 && cpuShare * 1e6 < mostUs * 1.1, `${cpuShare}: ${leastUs} to ${mostUs}`);
  });

  test('a record of a channel waits for as many writes as its node has followers of it', () => {
    const one: Workload = { ...rooms, connections: 10_000, channels: 1, appendsPerSecond: 1, isPaced: true };
    const { p50Ms, p99Ms } = simulate({ ...plan, workload: one, nodes: 1, seconds: 20 }, costs);
    const allMs = (10_000 * (costs.writeUs + costs.recordUs)) / 1e3;
    assert.ok(p50Ms > allMs / 4 && p50Ms < allMs, `${p50Ms}`);
    near(p99Ms, allMs + log.latencyMs, 0.1);
  });

  test('more than a thread can do is said to be too much', () => {
    const tooMuch = { ...rooms, appendsPerSecond: 60_000 };
    assert.equal(simulate({ ...plan, workload: tooMuch, seconds: 1 }, costs).isBehind, true);
    assert.equal(simulate(plan, costs).isBehind, false);
  });

  test('clients of a lost node are all back on the others, which have more to do meanwhile', () => {
    const calm = simulate(plan, costs);
    const lost = simulate({ ...plan, lostAtMs: 1_000 }, costs);
    assert.ok(lost.backMs > 400 && lost.backMs < 2_000, `${lost.backMs}`);
    near(lost.memoryMb - costs.processMb, ((calm.memoryMb - costs.processMb) * 8) / 7, 0.05);
    assert.ok(lost.cpuShare > calm.cpuShare);
    assert.ok(lost.p99Ms > calm.p99Ms);
  });

  test('a relay takes in what is followed there, the same is delivered', () => {
    const all = simulate({ ...plan, nodes: 40 }, costs);
    const relayed = simulate({ ...plan, nodes: 40, isRelayed: true }, costs);
    assert.equal(all.takenShare, 1);
    // Of ten followers on average, spread over 40: popular channels have some everywhere, most have none on most.
    assert.ok(relayed.takenShare < 0.7 && relayed.takenShare > 0.1, `${relayed.takenShare}`);
    assert.ok(relayed.cpuShare < all.cpuShare);
    assert.equal(relayed.deliveriesPerSecond, all.deliveriesPerSecond);
  });
});
