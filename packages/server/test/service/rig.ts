/** A server with a namespace for a group, one for its dead letters and one for events; and what members have handled. */
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createServer, type Server, type ServerOptions } from '../../src/index.ts';
import { hashKey } from '../../src/auth/api-keys.ts';
import { decodeState, type GroupState } from '../../src/service/group-state.ts';
import { consume, type ConsumeOptions, type Consumer } from '../../src/service/service.ts';

export const DEADLINE = { timeout: 60_000, interval: 20 };
export const KEY = `tw_key_${'s'.repeat(43)}`;
const MEMBER = fileURLToPath(new URL('./member.ts', import.meta.url));
const key = { append: 'key', subscribe: 'key', history: 'key', admin: 'key' } as const;

export async function startServer(
  t: TestContext,
  options: Partial<ServerOptions> = {},
): Promise<{ server: Server; url: string }> {
  const server = await createServer({
    ...(options.data === undefined && options.log === undefined ? { log: 'memory:' } : {}),
    logger: () => {},
    auth: { keys: [{ name: 'services', sha256: hashKey(KEY) }] },
    namespaces: { order: key, group: key, dead: key },
    ...options,
  });
  t.after(async () => {
    await closeConsumers(t);
    await server.close({ drainMs: 0 });
  });
  return { server, url: (await server.listen({ port: 0 })).url };
}

const consumers = new WeakMap<TestContext, Consumer[]>();

/** Closed at the end of the test, before its server. */
export function owned(t: TestContext, consumer: Consumer): Consumer {
  const known = consumers.get(t);
  if (known !== undefined) known.push(consumer);
  else {
    consumers.set(t, [consumer]);
    t.after(() => closeConsumers(t));
  }
  return consumer;
}

export async function closeConsumers(t: TestContext): Promise<void> {
  await Promise.all((consumers.get(t) ?? []).map((consumer) => consumer.close()));
}

export interface Event {
  readonly channel: string;
  readonly n: number;
}

/** A plain client of one server. */
export class Teller {
  readonly #url: string;
  readonly #headers: Readonly<Record<string, string>>;

  constructor(url: string, apiKey: string | null = KEY) {
    this.#url = url;
    this.#headers = apiKey === null ? {} : { authorization: `Bearer ${apiKey}` };
  }

  /** Appends `{n}` with `n` as its rid, and repeats it until it is known to be stored. */
  async append(channel: string, n: number): Promise<void> {
    for (;;) {
      try {
        const headers = { ...this.#headers, 'idempotency-key': `n${n}` };
        const body = JSON.stringify({ n });
        const answer = await fetch(`${this.#url}/v1/records?channel=${channel}`, { method: 'POST', headers, body });
        await answer.arrayBuffer();
        if (answer.ok) return;
        assert.equal(answer.status, 503);
      } catch (error) {
        if (!(error instanceof TypeError)) throw error;
      }
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
  }

  /** Appends 0 to `count` − 1 to each channel, all channels side by side. */
  async appendAll(channels: readonly string[], count: number): Promise<void> {
    await Promise.all(
      channels.map(async (channel) => {
        for (let n = 0; n < count; n++) await this.append(channel, n);
      }),
    );
  }

  async history(
    channel: string,
  ): Promise<readonly { readonly cursor: string; readonly rid: string; readonly data: unknown }[]> {
    const search = new URLSearchParams({ channel, after: 'oldest', limit: '1000' });
    const answer = await fetch(`${this.#url}/v1/records?${search}`, { headers: this.#headers });
    return ((await answer.json()) as { records: { cursor: string; rid: string; data: unknown }[] }).records;
  }

  /** Every state the group had, oldest first. */
  async states(group: string): Promise<readonly GroupState[]> {
    return (await this.history(`group:${group}`)).map(({ data }) => decodeState(data));
  }
}

/** What was handled, by any member, in the order it came to be known. */
export class Handled {
  readonly events: (Event & { readonly by: string })[] = [];

  add(by: string, event: Event): void {
    this.events.push({ ...event, by });
  }

  /** Each of the channels has all of 0 to `count` − 1, and each number for the first time behind the one before it. */
  assertComplete(channels: readonly string[], count: number): void {
    for (const channel of channels) {
      const numbers = this.events.filter((event) => event.channel === channel).map(({ n }) => n);
      assert.deepEqual(
        [...new Set(numbers)],
        Array.from({ length: count }, (_, n) => n),
        channel,
      );
    }
  }

  isComplete(channels: number, count: number): boolean {
    return new Set(this.events.map(({ channel, n }) => `${channel} ${n}`)).size >= channels * count;
  }
}

/** Places of a slot in a partition never go back, whoever writes them. */
export function assertPlacesOnlyGrow(states: readonly GroupState[]): void {
  const last = new Map<string, string>();
  const orderOf = (place: string): string => (place === 'oldest' ? '' : place.slice(0, -5));
  for (const { slots } of states) {
    for (const [slot, { places }] of slots.entries()) {
      for (const [partition, place] of places.entries()) {
        const of = `${slot}/${partition}`;
        assert.ok(orderOf(place) >= (last.get(of) ?? ''), `slot ${of} goes back to ${place}`);
        last.set(of, orderOf(place));
      }
    }
  }
}

/** A consumer in this process that only writes down what it handles. */
export function member(
  t: TestContext,
  by: string,
  handled: Handled,
  options: Partial<ConsumeOptions> & { url: string },
): Consumer {
  return owned(
    t,
    consume({
      key: KEY,
      group: 'stock',
      channels: ['order:*'],
      leaseMs: 1_500,
      onError: () => {},
      handle: ({ channel, data }) => handled.add(by, { channel, n: (data as { n: number }).n }),
      ...options,
    }),
  );
}

/** A consumer in a process of its own. */
export class MemberProcess {
  readonly child: ChildProcess;
  readonly ready: Promise<unknown>;

  constructor(
    t: TestContext,
    by: string,
    handled: Handled,
    options: { readonly url: string; readonly key?: string; readonly group?: string },
  ) {
    const words = ['--conditions=tideway-source', MEMBER, JSON.stringify({ group: 'stock', ...options })];
    this.child = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'inherit'] });
    const lines = createInterface({ input: this.child.stdout as NodeJS.ReadableStream });
    this.ready = once(lines, 'line');
    lines.on('line', (line) => {
      if (line !== 'ready') handled.add(by, JSON.parse(line) as Event);
    });
    t.after(() => this.kill('SIGKILL'));
  }

  async kill(signal: NodeJS.Signals): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const ended = once(this.child, 'exit');
    this.child.kill(signal);
    await ended;
  }
}
