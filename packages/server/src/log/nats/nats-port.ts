/**
 * The port to NATS JetStream: a stream for each partition, a subject for each channel, the stream's sequence as number.
 * Who writes and reads beside it needs no more than docs/logs/nats.md. One connection; when it breaks, everything under
 * way ends and `connect` makes another.
 */
import type { NatsConnection } from '@nats-io/transport-node';
import { limits } from '@tideway/protocol';
import { nodeEnv, type Env } from '../../env.ts';
import type {
  BrokerPort,
  FollowEvents,
  Following,
  PortBounds,
  StoredConstants,
  StoredRecord,
} from '../broker/broker-port.ts';
import type { NativeRecord } from '../broker/native-record.ts';
import { TailError, type AppendOutcome, type LogDeclaration } from '../log.ts';
import { natsPlace, type NatsAddress } from './nats-address.ts';
import { connectNats, DETECT_MS, loadNatsClient, type NatsClient } from './nats-client.ts';
import { apiCodeOf, apiCodes, apiFault, causeNamed, PartitionGoneError, settleError } from './nats-fault.ts';
import { NatsSession } from './nats-session.ts';
import { NatsStreams } from './nats-streams.ts';
import { NatsNames } from './nats-subject.ts';

/** How long JetStream may take to answer a question. */
const ANSWER_MS = 5_000;
/** How long all of `connect` may take. */
const CONNECT_MS_MAX = 9_500;

export interface NatsPortOptions {
  readonly env?: Env;
  /** Stands in for the packages in tests. */
  readonly load?: () => Promise<NatsClient>;
}

/** Who listens to a subject of signals, in whichever session. */
interface Listening {
  readonly listeners: Set<(bytes: Buffer) => void>;
  stop: () => void;
}

export class NatsPort implements BrokerPort {
  readonly place: string;
  readonly countsDensely = true;
  readonly seenIsStored = true;
  onDown: ((error: Error) => void) | undefined;
  readonly #address: NatsAddress;
  readonly #names: NatsNames;
  readonly #env: Env;
  readonly #load: () => Promise<NatsClient>;
  #declares: LogDeclaration;
  #session: NatsSession | undefined;
  #isClosed = false;
  /** Servers that a connection told of, besides those of the address. */
  #alsoKnown: readonly string[] = [];
  readonly #signals = new Map<string, Listening>();

  constructor(address: NatsAddress, { env, load }: NatsPortOptions = {}) {
    this.#address = address;
    this.place = natsPlace(address);
    this.#names = new NatsNames(address.name);
    this.#env = env ?? nodeEnv;
    this.#load = load ?? loadNatsClient;
    this.#declares = declarationOf(address.replicas ?? 1, limits.recordBytesMax);
  }

  get declares(): LogDeclaration {
    return this.#declares;
  }

  async connect(wanted: StoredConstants): Promise<StoredConstants> {
    const untilMs = this.#env.monotonicMs() + CONNECT_MS_MAX;
    const client = await this.#load();
    await this.#endSession('it is made anew');
    const connection = await connectNats(client, this.#address, { alsoKnown: this.#alsoKnown, env: this.#env });
    // It is forgotten with the connection.
    const { info } = connection;
    let isLate = false;
    const cancel = this.#env.setTimer(untilMs - this.#env.monotonicMs(), () => {
      isLate = true;
      void connection.close();
    });
    try {
      const session = await this.#settle(client, connection, wanted);
      if (this.#isClosed) throw new Error('it was closed meanwhile');
      if (connection.isClosed()) throw new Error('the connection ended at once');
      this.#session = session;
      return session.constants;
    } catch (error) {
      await connection.close();
      const hasNoJetStream = info !== undefined && info.jetstream !== true && info.cluster === undefined;
      throw settleError(this.place, error, { hasNoJetStream, isLate });
    } finally {
      cancel();
    }
  }

  async append(
    partition: number,
    records: readonly NativeRecord[],
    deadlineMs: number,
  ): Promise<readonly AppendOutcome[]> {
    const session = this.#session;
    if (session === undefined) {
      const message = `${this.place} is not connected`;
      return records.map(() => ({ state: 'refused', code: 'not_durable', message }));
    }
    const publications = records.map(({ channel, value, headers }) => ({
      subject: this.#names.channelSubject(partition, channel ?? ''),
      value,
      headers,
    }));
    const outcomes = await session.publisher.publish(publications, deadlineMs);
    if (outcomes.some(({ state }) => state === 'unknown')) void session.prove();
    return outcomes;
  }

  read(partition: number, after: number, limit: number): Promise<readonly StoredRecord[]> {
    return this.#ask(({ reader }) => reader.read(partition, after, limit));
  }

  at(partition: number, number: number): Promise<StoredRecord | undefined> {
    return this.#ask(({ reader }) => reader.at(partition, number));
  }

  bounds(partition: number): Promise<PortBounds> {
    return this.#ask(({ reader }) => reader.bounds(partition));
  }

  follow(partition: number, after: number, events: FollowEvents): Promise<Following> {
    return this.#ask((session) => session.follow(partition, after, events));
  }

  async trim(partition: number, upTo: number): Promise<void> {
    await this.#ask(({ manager }) => manager.streams.purge(this.#names.stream(partition), { seq: upTo + 1 }));
  }

  signal(subject: string, bytes: Buffer): void {
    try {
      this.#session?.connection.publish(this.#names.signalSubject(subject), bytes);
    } catch {
      // At most once: a connection that just broke, or a signal over the server's limit, is not sent.
    }
  }

  async onSignal(subject: string, listener: (bytes: Buffer) => void): Promise<() => void> {
    const listening = this.#signals.get(subject) ?? { listeners: new Set(), stop: () => {} };
    const isFirst = listening.listeners.size === 0;
    this.#signals.set(subject, listening);
    listening.listeners.add(listener);
    if (isFirst && this.#session !== undefined) {
      this.#listen(this.#session, subject, listening);
      // The server knows of it once it has answered; a connection that breaks before comes back with it.
      await this.#session.flushed().catch(() => undefined);
    }
    return () => {
      listening.listeners.delete(listener);
      if (listening.listeners.size > 0 || this.#signals.get(subject) !== listening) return;
      this.#signals.delete(subject);
      listening.stop();
    };
  }

  close(): Promise<void> {
    this.#isClosed = true;
    return this.#endSession('the log is closed');
  }

  /** Makes what is missing on JetStream, and a session that knows what is there. */
  async #settle(client: NatsClient, connection: NatsConnection, wanted: StoredConstants): Promise<NatsSession> {
    const manager = await client.jetstreamManager(connection, { timeout: ANSWER_MS });
    const { replicas } = this.#address;
    const streams = new NatsStreams({ manager, names: this.#names, replicas, env: this.#env });
    const settled = await streams.settle(wanted);
    const { max_payload: payloadBytesMax = Infinity, connect_urls: alsoKnown } = connection.info ?? {};
    this.#alsoKnown = alsoKnown ?? this.#alsoKnown;
    const recordBytesMax = Math.min(limits.recordBytesMax, payloadBytesMax - limits.headerBytes);
    this.#declares = declarationOf(settled.replicas, recordBytesMax);
    const session: NatsSession = new NatsSession({
      connection,
      manager,
      names: this.#names,
      constants: settled.constants,
      env: this.#env,
      onLost: (error) => this.#lose(session, error),
    });
    for (const [subject, listening] of this.#signals) this.#listen(session, subject, listening);
    await session.flushed();
    return session;
  }

  #listen(session: NatsSession, subject: string, listening: Listening): void {
    listening.stop = session.listen(this.#names.signalSubject(subject), (bytes) => {
      for (const listener of listening.listeners) listener(bytes);
    });
  }

  /** Asks something; an answer that shows that a partition is not the one we knew ends the session. */
  async #ask<T>(question: (session: NatsSession) => Promise<T>): Promise<T> {
    const session = this.#session;
    if (session === undefined) throw new Error(`${this.place} is not connected`);
    try {
      return await question(session);
    } catch (error) {
      if (error instanceof TailError) throw error;
      const fault = new Error(`${this.place}: ${apiFault(error)}`, { cause: error });
      if (error instanceof PartitionGoneError || apiCodeOf(error) === apiCodes.streamNotFound) session.lose(fault);
      else if (causeNamed(error, 'TimeoutError') !== undefined) void session.prove();
      throw fault;
    }
  }

  #lose(session: NatsSession, error: Error): void {
    if (this.#session !== session) return;
    this.#session = undefined;
    this.onDown?.(
      error instanceof TailError ? error : new Error(`${this.place} is down: ${error.message}`, { cause: error }),
    );
  }

  #endSession(why: string): Promise<void> {
    const session = this.#session;
    this.#session = undefined;
    return session?.end(why) ?? Promise.resolve();
  }
}

function declarationOf(replicas: number, recordBytesMax: number): LogDeclaration {
  const power = 'losing power only with sync_interval: always';
  const lost = Math.floor((replicas - 1) / 2);
  return {
    storedSurvives:
      replicas === 1
        ? `the end of the NATS server's process; not the loss of its disk, and ${power}`
        : `the loss of ${lost} of the ${replicas} NATS servers that hold a partition; all of them ${power}`,
    durable: true,
    mayRewind: true,
    recordBytesMax,
    contiguity: 'the sequence of the stream, which counts every record: each must be the next',
    detectMs: DETECT_MS,
  };
}
