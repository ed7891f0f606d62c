/**
 * One run of the simulation: clients, the steps that a scenario takes with them, and what must hold at the end.
 */
import assert from 'node:assert/strict';
import type { Client } from '../src/client.ts';
import type { Receipt } from '../src/receipt.ts';
import type { ChannelItem } from '../src/record.ts';
import type { TransportChoice } from '../src/transports.ts';
import { createScene, type Scene } from './scene.ts';

/** Clients and channels are named by their number. */
export type Step =
  | { readonly type: 'append'; readonly writer: number; readonly channel: number; readonly count: number }
  | { readonly type: 'foreign'; readonly channel: number; readonly count: number }
  | {
      readonly type: 'read';
      readonly reader: number;
      readonly channel: number;
      readonly from: string;
      readonly pauseMs: number;
    }
  | { readonly type: 'stop'; readonly reading: number }
  | { readonly type: 'cut'; readonly close: number }
  | { readonly type: 'drain'; readonly withinMs: number }
  | { readonly type: 'down'; readonly forMs: number }
  | { readonly type: 'lose answers'; readonly forMs: number }
  | { readonly type: 'refuse'; readonly forMs: number; readonly isStored: boolean }
  | { readonly type: 'leave out'; readonly forMs: number }
  | { readonly type: 'repeat' }
  | { readonly type: 'trim'; readonly channel: number; readonly keep: number }
  | { readonly type: 'slow'; readonly latencyMs: number }
  | { readonly type: 'wake' }
  | { readonly type: 'tear' }
  | { readonly type: 'rewind'; readonly drop: number }
  | { readonly type: 'other log' };

export const CLIENTS = 2;

interface Reading {
  readonly channel: string;
  readonly from: string;
  readonly items: ChannelItem[];
  readonly stop: () => void;
  isStopped: boolean;
}

interface Writing {
  readonly writer: number;
  readonly channel: string;
  readonly receipt: Receipt;
  outcomes: number;
}

export class SimulatedRun {
  readonly scene: Scene;
  readonly clients: Client[];
  readonly readings: Reading[] = [];
  readonly writings: Writing[] = [];
  /**
   * Every record that was ever stored, by channel: trimming does not forget here. Each time the log is rewound or
   * replaced another list begins, with what is left.
   */
  readonly lives: Map<string, string[]>[] = [new Map()];
  #isLeavingOut = false;

  constructor(seed: number, transports: readonly TransportChoice[]) {
    this.scene = createScene(seed);
    this.scene.server.faults.user = (token) => ({ user: token ?? '' });
    this.clients = transports.map((transport, n) => this.scene.connect({ transport, token: () => `user${n}` }));
    const { log } = this.scene.server;
    const append = log.append.bind(log);
    log.append = (record) => {
      const stored = append(record);
      const { channel, cursor } = stored;
      const life = this.lives.at(-1);
      life?.set(channel, [...(life.get(channel) ?? []), cursor]);
      return stored;
    };
  }

  take(step: Step): void {
    const { world, server, network } = this.scene;
    switch (step.type) {
      case 'append':
        for (let n = 0; n < step.count; n++) this.#append(step.writer, `chat:${step.channel}`);
        return;
      case 'foreign':
        for (let n = 0; n < step.count; n++) server.append(`chat:${step.channel}`, n);
        return;
      case 'read':
        this.#read(step.reader, `chat:${step.channel}`, step.from, step.pauseMs);
        return;
      case 'stop': {
        const reading = this.readings[step.reading];
        if (reading === undefined) return;
        reading.isStopped = true;
        reading.stop();
        return;
      }
      case 'cut':
        network.cutAll(step.close);
        return;
      case 'drain':
        for (const session of server.sessions) {
          session.send({ op: 'drain', withinMs: step.withinMs });
          world.after(step.withinMs, () => session.close(4005));
        }
        return;
      case 'down':
        network.isUp = false;
        network.cutAll();
        world.after(step.forMs, () => {
          network.isUp = true;
        });
        return;
      case 'lose answers':
        // What was answered and never arrives: the link dies with it.
        network.latencyMs = () => 10_000;
        world.after(step.forMs, () => {
          network.latencyMs = () => 1;
          network.cutAll();
        });
        return;
      case 'refuse':
        server.faults.append = () =>
          world.dice.chance(0.7)
            ? step.isStored
              ? { code: 'unconfirmed', isStored: true }
              : { code: 'rate_limited' }
            : undefined;
        world.after(step.forMs, () => delete server.faults.append);
        return;
      case 'leave out':
        this.#isLeavingOut = true;
        server.faults.send = (frame) => frame.op !== 'record' || !this.#isLeavingOut || world.dice.chance(0.5);
        world.after(step.forMs, () => {
          this.#isLeavingOut = false;
        });
        return;
      case 'repeat':
        for (const session of server.sessions) {
          for (const channel of ['chat:0', 'chat:1']) session.repeat(channel);
        }
        return;
      case 'trim':
        server.log.trim(`chat:${step.channel}`, step.keep);
        return;
      case 'slow':
        network.latencyMs = () => 1 + world.dice.below(step.latencyMs);
        return;
      case 'wake':
        world.wake();
        return;
      case 'tear':
        network.tearAll();
        return;
      case 'rewind':
        // Whoever restores an older copy starts the server on it.
        network.cutAll();
        server.log.rewind(step.drop);
        this.#beginLife();
        return;
      case 'other log':
        network.cutAll();
        server.log.replace(`other${this.lives.length % 10}`);
        this.#beginLife();
        return;
      default:
        step satisfies never;
    }
  }

  /** Everything works again; in the end all is said and done. */
  async settle(): Promise<void> {
    const { world, server, network } = this.scene;
    await world.pass(20_000);
    this.#isLeavingOut = false;
    server.faults = { user: server.faults.user ?? (() => ({})) };
    network.isUp = true;
    network.latencyMs = () => 1;
    // A record that was left out at the very end is only missed when another comes.
    for (const channel of this.lives.at(-1)?.keys() ?? []) server.append(channel, 'last');
    const isDone = () =>
      this.clients.every((client) => client.unsaved === 0 && client.state === 'live') &&
      this.readings.every((reading) => reading.isStopped || this.#isAtEnd(reading));
    await world.until(isDone, 'all saved, all read');
    await world.pass(10_000);
    for (const client of this.clients) client.close();
    await world.pass(1_000);
  }

  #isAtEnd({ channel, items }: Reading): boolean {
    const newest = this.lives.at(-1)?.get(channel)?.at(-1);
    const last = items.findLast((item) => item.type === 'record');
    return newest === undefined || last?.type !== 'record' || last.record.cursor === newest;
  }

  #append(writer: number, channel: string): void {
    const receipt = (this.clients[writer] as Client).channel(channel).append(this.writings.length);
    const writing: Writing = { writer, channel, receipt, outcomes: 0 };
    const onOutcome = () => {
      writing.outcomes++;
    };
    receipt.then(onOutcome, onOutcome);
    this.writings.push(writing);
  }

  #read(client: number, channel: string, from: string, pauseMs: number): void {
    const reader = (this.clients[client] as Client).channel(channel).read({ from, onGap: 'continue' });
    const reading: Reading = { channel, from, items: [], stop: () => reader.stop(), isStopped: false };
    this.readings.push(reading);
    const read = async () => {
      for await (const item of reader.items()) {
        reading.items.push(item);
        if (pauseMs > 0) await new Promise<void>((resolve) => void this.scene.world.after(pauseMs, resolve));
      }
    };
    void read();
  }

  check(): void {
    for (const writing of this.writings) {
      assert.equal(writing.outcomes, 1);
      assert.equal(writing.receipt.state, 'stored');
    }
    this.#checkOrder();
    for (const reading of this.readings) this.#checkReading(reading);
  }

  /** What one client appended to a channel lies there in its order, each once. */
  #checkOrder(): void {
    const { log } = this.scene.server;
    for (let writer = 0; writer < CLIENTS; writer++) {
      for (const channel of ['chat:0', 'chat:1']) {
        const ours = this.writings.filter((one) => one.writer === writer && one.channel === channel);
        const found = ours.map(({ receipt }) => log.find(channel, `user${writer}`, receipt.rid));
        const stored = found.flatMap((record) => (record === undefined ? [] : [record.position]));
        // Only a log that was rewound or replaced has lost what it called stored.
        if (this.lives.length === 1)
          assert.equal(stored.length, ours.length, 'an append that was called stored is not');
        assert.deepEqual(
          stored,
          stored.toSorted((a, b) => a - b),
          'appends in another order',
        );
        assert.equal(new Set(stored).size, stored.length);
      }
    }
  }

  #beginLife(): void {
    const { log } = this.scene.server;
    const life = new Map<string, string[]>();
    for (const [channel, cursors] of this.lives.at(-1) ?? []) {
      const left = new Set(log.records(channel).map(({ cursor }) => cursor));
      const floor = log.cursor(log.channel(channel).floor, 'zzzz');
      // What was trimmed stays in the list, as it was there once.
      const isTrimmed = (cursor: string) => cursor.startsWith(log.epoch) && cursor <= floor;
      life.set(
        channel,
        cursors.filter((cursor) => left.has(cursor) || isTrimmed(cursor)),
      );
    }
    this.lives.push(life);
  }

  /** Each record once, in the log's order; where something is missing, a gap stands; another history begins with one. */
  #checkReading({ channel, from, items }: Reading): void {
    const parts: { readonly isOther: boolean; readonly cursors: string[] }[] = [{ isOther: true, cursors: [] }];
    for (const item of items) {
      assert.notEqual(item.type, 'invalid');
      if (item.type === 'record') parts.at(-1)?.cursors.push(item.record.cursor);
      if (item.type === 'gap') parts.push({ isOther: ['diverged', 'epoch'].includes(item.gap.reason), cursors: [] });
    }
    let at = { life: 0, next: 0 };
    for (const [index, { isOther, cursors }] of parts.entries()) {
      const faults: string[] = [];
      const found = this.lives.findIndex((life, number) => {
        if (number < at.life) return false;
        // Of what is trimmed no server can say whether it was another history (SUB-6): a later life may have begun.
        const least = number === at.life && !isOther ? at.next : 0;
        const fault = faultOf(life.get(channel) ?? [], least, cursors);
        if (fault !== undefined) faults.push(fault);
        return fault === undefined;
      });
      assert.ok(found >= 0, `${channel} from ${from}, part ${index}: ${faults.join('; ')}`);
      const last = cursors.at(-1);
      if (last !== undefined) at = { life: found, next: (this.lives[found]?.get(channel) ?? []).indexOf(last) + 1 };
    }
  }
}

/** Why these records are no run of that history from there on. */
function faultOf(history: readonly string[], least: number, cursors: readonly string[]): string | undefined {
  let next: number | undefined;
  for (const cursor of cursors) {
    const at = history.indexOf(cursor);
    if (at < 0) return `${cursor} is not in the log`;
    if (at < (next ?? least)) return `record ${at} came again`;
    if (next !== undefined && at > next) return `record ${at} came where ${next} was to come`;
    next = at + 1;
  }
  return undefined;
}
