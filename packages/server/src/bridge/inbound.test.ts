import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { nodeEnv, type Env } from '../env.ts';
import { BrokerError } from '../log/broker/broker-port.ts';
import { runInbound } from './inbound.ts';
import { type Message, type Source, StandBy } from './message.ts';
import type { Settler } from './settler.ts';
import { Trouble } from './trouble.ts';

const message: Message = { subject: 's', headers: new Map(), body: Buffer.from('1'), id: '1', place: 'here' };

/** Lives, one behind the other; each is what `open` gives or fails with. Ends the bridge behind the last one. */
class Room {
  readonly events: string[] = [];
  readonly #stop = new AbortController();
  readonly #lives: (() => Source)[];

  constructor(lives: readonly ((room: Room) => Source)[]) {
    this.#lives = lives.map((life) => () => life(this));
  }

  /** A life that gives these, one batch each, and then fails, or waits for the end. */
  source(batches: readonly (readonly Message[])[], failure?: Error): Source {
    const left = [...batches];
    return {
      next: async () => {
        const batch = left.shift();
        if (batch !== undefined) return batch;
        if (failure !== undefined) throw failure;
        this.#stop.abort();
        return [];
      },
      settled: async () => void this.events.push('settled'),
      close: async () => void this.events.push('closed'),
    };
  }

  async run(settles = true): Promise<void> {
    // Waits are over at once, unless they are those for something that lasts.
    const env: Env = {
      ...nodeEnv,
      setTimer: (ms, callback) => {
        if (ms === 2_000 || ms === 1_000) this.events.push(`waits ${ms}`);
        const timer = setImmediate(callback);
        return () => clearImmediate(timer);
      },
    };
    const settler: Pick<Settler, 'settle'> = {
      settle: async (messages) => {
        this.events.push(`settles ${messages.length}`);
        if (!settles) this.#stop.abort();
        return settles;
      },
    };
    const open = async (): Promise<Source> => {
      const life = this.#lives.shift();
      if (life === undefined) this.#stop.abort();
      return (life ?? (() => this.source([])))();
    };
    const trouble = new Trouble({ ...nodeEnv, setTimer: (_, callback) => (callback(), () => {}) }, (why) => {
      this.events.push(why ?? 'over');
    });
    await runInbound(
      { open, settler: settler as Settler, trouble, onState: (state) => this.events.push(state), env },
      this.#stop.signal,
    );
  }
}

describe('a bridge from a broker', () => {
  test('moves the place of the source when all is settled, and not before', async () => {
    const room = new Room([(one) => one.source([[message, message], [message]])]);
    await room.run();
    assert.deepEqual(
      room.events.filter((event) => !event.startsWith('waits')),
      [...['ready', 'settles 2', 'settled', 'settles 1', 'settled', 'closed']],
    );
  });

  test('leaves the place where it is when it is ended before all is settled', async () => {
    const room = new Room([(one) => one.source([[message]])]);
    await room.run(false);
    assert.deepEqual(room.events.slice(-2), ['settles 1', 'closed']);
  });

  test('opens another life after one that failed, and says why', async () => {
    const room = new Room([
      () => {
        throw new BrokerError('nobody listens', { isFinal: false });
      },
      (one) => one.source([[message]], new Error('the connection broke')),
      (one) => one.source([[message]]),
    ]);
    await room.run();
    assert.equal(room.events[0], 'nobody listens');
    assert.ok(room.events.includes('the connection broke'));
    assert.equal(room.events.filter((event) => event === 'closed').length, 2);
  });

  test('ends where the first life cannot begin until somebody acts, or what is read is no source', async () => {
    const final = new BrokerError('it refuses the password', { isFinal: true });
    const refused = new Room([
      () => {
        throw final;
      },
    ]);
    await assert.rejects(refused.run(), final);
    const noSource = new Room([(one) => one.source([[message]], final)]);
    await assert.rejects(noSource.run(), final);
    assert.equal(noSource.events.at(-1), 'closed');
  });

  test('waits where it was refused later: a password may be changed here and there in turn', async () => {
    const room = new Room([
      (one) => one.source([[message]], new Error('the connection broke')),
      () => {
        throw new BrokerError('it refuses the password', { isFinal: true });
      },
      (one) => one.source([[message]]),
    ]);
    await room.run();
    assert.equal(room.events.filter((event) => event === 'settled').length, 2);
  });

  test('stands by while another copy is at work', async () => {
    const room = new Room([
      () => {
        throw new StandBy('another one');
      },
      (one) => one.source([[message]]),
    ]);
    await room.run();
    assert.deepEqual(
      room.events.filter((event) => !event.startsWith('waits')),
      [...['standby', 'ready', 'settles 1', 'settled', 'closed']],
    );
  });
});
