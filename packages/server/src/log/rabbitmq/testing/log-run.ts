/** A log on a real RabbitMQ under test: it writes numbered records without a pause, reads them back, keeps what is said. */
import assert from 'node:assert/strict';
import { computeTag } from '@tideway/protocol';
import { BrokerLog, type BrokerLogEvent, type BrokerLogOptions } from '../../broker/broker-log.ts';
import type { AppendOutcome, LogConstants, PhysicalRecord, TailError, TailRecord, TailStart } from '../../log.ts';
import { parseRabbitmqAddress } from '../rabbitmq-address.ts';
import { RabbitmqPort } from '../rabbitmq-port.ts';
import { soon } from './rabbitmq-room.ts';

const DEADLINE_MS = 60_000;

export class LogRun {
  readonly log: BrokerLog;
  readonly events: BrokerLogEvent[] = [];
  readonly outcomes = new Map<string, AppendOutcome>();
  constants!: LogConstants;
  #looks = new Set<() => void>();
  #count = 0;
  #isWriting = false;

  private constructor(url: string, options: Partial<BrokerLogOptions>) {
    const report = (event: BrokerLogEvent): void => {
      this.events.push(event);
      this.look();
    };
    const port = new RabbitmqPort(parseRabbitmqAddress(url));
    this.log = new BrokerLog({ port, partitions: 1, report, ...options });
  }

  static async open(url: string, options: Partial<BrokerLogOptions> = {}): Promise<LogRun> {
    const run = new LogRun(url, options);
    run.constants = await run.log.open();
    return run;
  }

  async append(count: number): Promise<readonly AppendOutcome[]> {
    const records = Array.from({ length: count }, (): PhysicalRecord => {
      const n = ++this.#count;
      const payload = Buffer.from(`{"n":${n}}`);
      return { channel: 'chat:1', kind: 'data', encoding: 'json', payload, rid: `r${n}` };
    });
    const outcomes = await this.log.append(records);
    for (const [n, outcome] of outcomes.entries()) this.outcomes.set(String(records[n]?.rid), outcome);
    this.look();
    return outcomes;
  }

  /** Writes on and on, some at once, until the returned function is called; it resolves when all is answered. */
  write(): () => Promise<void> {
    this.#isWriting = true;
    const loop = async (size: number): Promise<void> => {
      while (this.#isWriting) {
        await this.append(size);
        // While it is down everything is refused at once.
        await this.until(() => !this.isDown || !this.#isWriting, 'it to be up');
      }
    };
    const loops = [loop(1), loop(3), loop(10)];
    return async () => {
      this.#isWriting = false;
      this.look();
      await Promise.all(loops);
    };
  }

  get isDown(): boolean {
    return this.events.at(-1)?.event === 'down';
  }

  get stored(): string[] {
    return [...this.outcomes].filter(([, { state }]) => state === 'stored').map(([rid]) => rid);
  }

  async storedBeyond(count: number): Promise<void> {
    await this.until(() => this.stored.length > count, `more than ${count} stored records`);
  }

  async tail(after: TailStart = 'oldest'): Promise<KeptTail> {
    const kept = new KeptTail(this);
    await this.log.tail(
      0,
      after,
      (batch) => {
        kept.records.push(...batch);
        this.look();
        return undefined;
      },
      (error) => {
        kept.error = error;
        this.look();
      },
    );
    return kept;
  }

  until(holds: () => boolean, what: string): Promise<void> {
    let look!: () => void;
    const came = new Promise<void>((resolve) => {
      look = () => void (holds() && resolve());
      this.#looks.add(look);
      setImmediate(look);
    });
    return soon(came, `${what}; events ${this.events.map(({ event }) => event).join(' ')}`, DEADLINE_MS).finally(() =>
      this.#looks.delete(look),
    );
  }

  look(): void {
    for (const look of this.#looks) look();
  }
}

class KeptTail {
  readonly records: TailRecord[] = [];
  error: TailError | undefined;
  readonly #run: LogRun;

  constructor(run: LogRun) {
    this.#run = run;
  }

  async ended(): Promise<TailError> {
    await this.#run.until(() => this.error !== undefined, 'the tail to end');
    return this.error as TailError;
  }

  count(count: number): Promise<void> {
    return this.#run.until(() => this.records.length >= count, `${count} records, ${this.records.length} came`);
  }

  /** Everything stored is here, first copies in order, positions ascending; repeats are told by their rid. */
  assertWhole(): void {
    assert.equal(this.error, undefined);
    const rids = [...new Set(this.records.map(({ record }) => String(record.rid)))];
    const seen = new Set(rids);
    for (const rid of this.#run.stored) assert.ok(seen.has(rid), `${rid} was stored and is not on the tail`);
    for (const [n, { position, tag, record }] of this.records.entries()) {
      assert.equal(tag, computeTag(record));
      assert.ok(position > (this.records[n - 1]?.position ?? ''));
    }
    const numbers = rids.map((rid) => Number(rid.slice(1)));
    assert.deepEqual(
      numbers,
      numbers.toSorted((a, b) => a - b),
    );
  }
}
