/**
 * Everything of one connect: the servers, the life of each partition, who listens and follows. What breaks at one member
 * of a Cluster takes that member's partitions away, until whoever asks for one finds it again, there or elsewhere; with
 * the last partition, or outside a Cluster, the link ends as a whole, once, and the port makes another.
 */
import { formatEpoch } from '@tideway/protocol';
import type { Env } from '../../env.ts';
import type { StoredConstants } from '../broker/broker-port.ts';
import type { RedisAddress } from './redis-address.ts';
import type { ConnectionTimes, RedisArgument, RedisConnection } from './redis-connection.ts';
import { openConstants, type RedisConstants } from './redis-constants.ts';
import { isFinalError, RedisReplyError } from './redis-errors.ts';
import type { RedisFollower } from './redis-follower.ts';
import type { FormerConnections } from './redis-former.ts';
import { MemberLink, type MemberLinkParts, type RedisPartition } from './redis-member-link.ts';
import { EPOCH_GROUP, openScript, type RedisScript } from './redis-scripts.ts';
import { RedisServers } from './redis-servers.ts';
import type { RedisSignals } from './redis-signals.ts';

export interface LinkOptions {
  readonly address: RedisAddress;
  readonly times: ConnectionTimes;
  readonly env: Env;
  readonly signals: RedisSignals;
  readonly former: FormerConnections;
  /** The constants of a log that is not there yet. */
  readonly wanted: StoredConstants;
  /** Those of the link before: by them a member of a Cluster need not be there. */
  readonly known: StoredConstants | undefined;
}

interface Seat extends RedisPartition {
  /** Who holds it; `undefined` while nobody is known to. */
  member: MemberLink | undefined;
  /** Why nobody is. */
  reason: Error | undefined;
  finding: Promise<MemberLink> | undefined;
}

export class RedisLink {
  readonly #options: LinkOptions;
  readonly #servers: RedisServers;
  readonly #parts: MemberLinkParts;
  readonly #members = new Map<RedisConnection, MemberLink>();
  #window = 0;
  #seats: readonly Seat[] = [];
  #listening: RedisConnection | undefined;
  #cancelProbe: () => void = () => {};
  /** Called once, when it ended by itself. */
  onEnd: ((error: Error) => void) | undefined;
  /** Why it ended. */
  reason: Error | undefined;

  private constructor(servers: RedisServers, options: LinkOptions) {
    this.#options = options;
    this.#servers = servers;
    const { times, env } = options;
    this.#parts = {
      ...{ servers, times, env },
      partitionsOn: (member) => this.#seats.filter((seat) => seat.member === member),
      onBroken: (member, error) => this.#onBroken(member, error),
    };
  }

  static async open(options: LinkOptions): Promise<RedisLink> {
    const { address, times, env, former } = options;
    const link = new RedisLink(await RedisServers.find(address, times, env, former), options);
    try {
      await link.#open();
      return link;
    } catch (error) {
      link.end(error as Error);
      throw error;
    }
  }

  get constants(): StoredConstants {
    const partitions = this.#seats.map(({ group }) => ({ epoch: group.slice(EPOCH_GROUP.length) }));
    return { format: 1, window: this.#window, partitions };
  }

  get servers(): RedisServers {
    return this.#servers;
  }

  /** Why nobody is known to hold a partition, which is then looked for; `undefined` where somebody is. */
  whyAway(partition: number): Error | undefined {
    const seat = this.#seat(partition);
    if (seat.member === undefined) this.#memberOf(seat).catch(() => {});
    return seat.reason;
  }

  /** Asks the server that holds a partition, over its connection for commands; what its answer means for it is seen to. */
  async ask<T>(partition: number, ask: (member: MemberLink, one: RedisPartition) => Promise<T>): Promise<T> {
    const seat = this.#seat(partition);
    const member = await this.#memberOf(seat);
    try {
      return await ask(member, seat);
    } catch (error) {
      member.judge(error);
      throw error;
    }
  }

  /** Runs a script on a partition, in the life that is known. */
  run(partition: number, script: RedisScript, args: readonly RedisArgument[]): Promise<unknown> {
    return this.ask(partition, ({ connection }, { key, group }) => connection.run(script, key, [group, ...args]));
  }

  /** Takes the partition's server for gone, and rejects, where what it says may be old. */
  assertPrimary(partition: number): Promise<void> {
    return this.ask(partition, (member) => member.assertPrimary());
  }

  /** Reads a partition over a connection for reads only. */
  read<T>(partition: number, ask: (reader: RedisConnection, one: RedisPartition) => Promise<T>): Promise<T> {
    return this.ask(partition, async (member, seat) => ask(await member.reader(), seat));
  }

  /** Follows a partition, where there is no Cluster together with all others. */
  async follower(partition: number): Promise<{ readonly key: string; readonly follower: RedisFollower }> {
    const seat = this.#seat(partition);
    const member = await this.#memberOf(seat);
    return { key: seat.key, follower: await member.follower(seat.key) };
  }

  /** Ends it from outside; `onEnd` is not called. */
  end(reason: Error): void {
    if (this.reason !== undefined) return;
    this.reason = reason;
    this.#cancelProbe();
    for (const member of this.#members.values()) member.end(reason);
    this.#servers.kill(reason);
    this.#listening?.kill(reason);
  }

  async #open(): Promise<void> {
    const { address, known } = this.#options;
    const keysOf = (count: number): readonly string[] => {
      return Array.from({ length: count }, (_, n) => `{${address.name}:${n}}:records`);
    };
    const before = this.#servers.isCluster ? known : undefined;
    // All at once: who says nothing is waited for once.
    if (before !== undefined) {
      await Promise.allSettled(keysOf(before.partitions.length).map((key) => this.#servers.forKey(key)));
    }
    const { window, partitions } = await this.#constants(before);
    const epochs = before?.partitions.length === partitions ? before.partitions : [];
    this.#window = window;
    this.#seats = await Promise.all(keysOf(partitions).map((key, n) => this.#sit(key, n, epochs[n]?.epoch)));
    if (this.#seats.every(({ member }) => member === undefined)) throw this.#seats[0]?.reason as Error;
    for (const connection of this.#servers.connections()) this.#memberOn(connection);
    // Whether a follower may be woken is found out now, not in the first quiet moment.
    await this.#servers.any().command('CLIENT', 'UNBLOCK', 0);
    await this.#listen();
    this.#probeLater();
  }

  async #constants(before: StoredConstants | undefined): Promise<RedisConstants> {
    const key = `{${this.#options.address.name}}:constants`;
    try {
      return await openConstants(await this.#servers.forKey(key), key, this.#options.wanted);
    } catch (error) {
      if (before === undefined || isFinalError(error)) throw error;
      return { window: before.window, partitions: before.partitions.length };
    }
  }

  /** @param epoch the one that the partition had before; without it, it must be there */
  async #sit(key: string, n: number, epoch: string | undefined): Promise<Seat> {
    const { wanted, env } = this.#options;
    try {
      const connection = await this.#servers.forKey(key);
      // The log may have more partitions than were wanted.
      const fresh = wanted.partitions[n]?.epoch ?? formatEpoch(env.randomBytes(6));
      const group = String(await connection.run(openScript, key, [EPOCH_GROUP + fresh]));
      return { key, group, member: this.#memberOn(connection), reason: undefined, finding: undefined };
    } catch (error) {
      if (epoch === undefined || isFinalError(error)) throw error;
      return { key, group: EPOCH_GROUP + epoch, member: undefined, reason: error as Error, finding: undefined };
    }
  }

  #seat(partition: number): Seat {
    const seat = this.#seats[partition];
    if (seat === undefined) throw new RangeError(`there are ${this.#seats.length} partitions; got ${partition}`);
    return seat;
  }

  #memberOf(seat: Seat): Promise<MemberLink> {
    if (seat.member !== undefined) return Promise.resolve(seat.member);
    seat.finding ??= this.#find(seat).finally(() => (seat.finding = undefined));
    return seat.finding;
  }

  /** Looks where a partition lies now. One that is another one there ends the link: it has other constants. */
  async #find(seat: Seat): Promise<MemberLink> {
    try {
      await this.#servers.ask();
      const connection = await this.#servers.forKey(seat.key);
      const fresh = EPOCH_GROUP + formatEpoch(this.#options.env.randomBytes(6));
      const group = String(await connection.run(openScript, seat.key, [fresh]));
      if (group !== seat.group) {
        this.#break(new RedisReplyError('NOGROUP', 'the stream was deleted, emptied or made again'));
      }
      const member = this.#memberOn(connection);
      const over = this.reason ?? member.reason;
      if (over !== undefined) throw over;
      seat.member = member;
      seat.reason = undefined;
      return member;
    } catch (error) {
      seat.reason = error as Error;
      throw error;
    }
  }

  #memberOn(connection: RedisConnection): MemberLink {
    const known = this.#members.get(connection);
    if (known !== undefined) return known;
    const member = new MemberLink(connection, this.#parts);
    if (member.reason === undefined) this.#members.set(connection, member);
    return member;
  }

  #onBroken(member: MemberLink, error: Error): void {
    this.#members.delete(member.connection);
    this.#servers.drop(member.connection);
    for (const seat of this.#seats.filter((one) => one.member === member)) {
      seat.member = undefined;
      seat.reason = error;
    }
    const isAnotherLife = error instanceof RedisReplyError && error.kind === 'NOGROUP';
    const isNobodyLeft = this.#seats.every((seat) => seat.member === undefined);
    if (isAnotherLife || isNobodyLeft || !this.#servers.isCluster) this.#break(error);
  }

  #break(error: Error): void {
    if (this.reason !== undefined) return;
    this.end(error);
    this.onEnd?.(error);
  }

  // Signals

  /** Listens on any server: in a Cluster each hears what is sent to another one. */
  async #listen(): Promise<void> {
    const connection = await this.#servers.openBeside(this.#servers.any());
    this.#listening = connection;
    connection.onLost = (error) => {
      if (this.#listening !== connection) return;
      this.#listening = undefined;
      if (!this.#servers.isCluster) this.#break(error);
    };
    if (this.reason !== undefined) connection.kill(this.reason);
    await this.#options.signals.listenOn(connection);
  }

  /** A listener that says nothing is over; one that is over is replaced. */
  #probeLater(): void {
    const { env, times, signals } = this.#options;
    this.#cancelProbe = env.setTimer(times.probeMs, () => {
      const listening = this.#listening;
      const asked = listening === undefined ? this.#listen() : signals.probe();
      asked
        .catch((error: unknown) => (listening ?? this.#listening)?.kill(error as Error))
        .finally(() => this.reason === undefined && this.#probeLater());
    });
  }
}
