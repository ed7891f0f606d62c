/** One copy of a bridge at a time has the lease of a stream of Redis; it ends by itself when its holder does. */
import { nodeEnv } from '../env.ts';
import type { RedisConnection } from '../log/redis/redis-connection.ts';
import { script } from '../log/redis/redis-scripts.ts';
import { StandBy } from './message.ts';

const LEASE_MS = 6_000;
const RENEW_MS = 2_000;

/** Lease, holder, time → 1 where it is the holder's. */
const takeScript = script(`
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
`);

const leaveScript = script(`
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
`);

export class RedisLease {
  readonly #connection: RedisConnection;
  readonly #key: string;
  readonly #holder: string;
  #untilMs = 0;
  #failure: Error | undefined;
  #cancelRenewal: (() => void) | undefined;

  private constructor(connection: RedisConnection, key: string, holder: string) {
    this.#connection = connection;
    this.#key = key;
    this.#holder = holder;
  }

  /** Rejects with `StandBy` while another holds it. */
  static async take(connection: RedisConnection, key: string, holder: string): Promise<RedisLease> {
    const lease = new RedisLease(connection, key, holder);
    await lease.#take();
    lease.#renewLater();
    return lease;
  }

  /** Throws where it is lost, or this process slept too long: another one may hold it by now. */
  assertHeld(): void {
    if (this.#failure !== undefined) throw this.#failure;
    if (nodeEnv.monotonicMs() >= this.#untilMs) throw new Error(`this process stood still, and ${this.#key} is over`);
  }

  async leave(): Promise<void> {
    this.#cancelRenewal?.();
    await this.#connection.run(leaveScript, this.#key, [this.#holder]).catch(() => {});
  }

  async #take(): Promise<void> {
    const untilMs = nodeEnv.monotonicMs() + LEASE_MS;
    const answer = await this.#connection.run(takeScript, this.#key, [this.#holder, LEASE_MS]);
    if (Number(answer) !== 1) throw new StandBy(`another copy of this bridge has ${this.#key}`);
    this.#untilMs = untilMs;
  }

  #renewLater(): void {
    this.#cancelRenewal = nodeEnv.setTimer(RENEW_MS, () => {
      this.#take().then(
        () => this.#renewLater(),
        (error: Error) => (this.#failure = error),
      );
    });
  }
}
