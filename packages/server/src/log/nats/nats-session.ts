/**
 * One life of the connection to NATS, and everything that ends with it: what is being published, the followers, the
 * subjects listened to. A connection that seems dead must prove that it is not.
 */
import type { JetStreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { limits } from '@tideway/protocol';
import { randomId, type Env } from '../../env.ts';
import type { FollowEvents, Following, StoredConstants } from '../broker/broker-port.ts';
import { TailError } from '../log.ts';
import { PartitionGoneError } from './nats-fault.ts';
import { NatsFollower } from './nats-follower.ts';
import { NatsPublisher } from './nats-publisher.ts';
import type { PullPlace } from './nats-pull.ts';
import { NatsReader, trimmed } from './nats-reader.ts';
import type { NatsNames } from './nats-subject.ts';

/** How long a connection that seems dead may take to prove that it is not. */
const PROOF_MS = 2_000;
/** Of what a follower asks for at once; more only where a single record may be larger. */
const REQUEST_BYTES = 1024 * 1024;

export interface SessionOptions {
  readonly connection: NatsConnection;
  readonly manager: JetStreamManager;
  readonly names: NatsNames;
  readonly constants: StoredConstants;
  readonly env: Env;
  /** Called once, when it ended by itself. */
  readonly onLost: (error: Error) => void;
}

export class NatsSession {
  readonly connection: NatsConnection;
  readonly manager: JetStreamManager;
  readonly constants: StoredConstants;
  readonly publisher: NatsPublisher;
  readonly reader: NatsReader;
  readonly #options: SessionOptions;
  readonly #place: PullPlace;
  readonly #followers = new Set<NatsFollower>();
  #isOver = false;
  #isProving = false;

  constructor(options: SessionOptions) {
    const { connection, manager, names, env } = options;
    this.#options = options;
    this.connection = connection;
    this.manager = manager;
    this.constants = options.constants;
    const inbox = `_INBOX.${randomId(env)}`;
    let inboxes = 0;
    this.#place = { manager, connection, names, newInbox: () => `${inbox}.${++inboxes}` };
    this.publisher = new NatsPublisher({ connection, env, inbox: `${inbox}.0` });
    this.reader = new NatsReader(this.#place, (partition, identity) => this.#assertSame(partition, identity));
    void connection.closed().then((error) => {
      this.lose(new Error(error instanceof Error ? error.message : 'the server closed it', { cause: error }));
    });
  }

  async follow(partition: number, after: number, events: FollowEvents): Promise<Following> {
    const { names, env } = this.#options;
    const { oldest, newest } = await this.reader.bounds(partition);
    const stream = names.stream(partition);
    if (after < oldest) throw trimmed(stream, after, oldest);
    if (after > newest) throw new TailError('diverged', `${stream} ends at ${newest}, before ${after}: it was rewound`);
    const follower = new NatsFollower({
      place: this.#place,
      partition,
      after,
      requestBytes: Math.max(REQUEST_BYTES, this.connection.info?.max_payload ?? 0) + limits.headerBytes,
      events: {
        onRecords: (records) => events.onRecords(records),
        onEnd: (error) => {
          this.#followers.delete(follower);
          events.onEnd(error);
        },
      },
      explainHole: (behind) => this.reader.explainHole(partition, behind),
      onSilence: () => void this.prove(),
      env,
    });
    await follower.start();
    if (this.#isOver) {
      await follower.stop();
      throw new Error('the connection ended meanwhile');
    }
    this.#followers.add(follower);
    return {
      stop: () => {
        this.#followers.delete(follower);
        return follower.stop();
      },
    };
  }

  /** Listens to a subject for as long as this session lives, or until the returned function is called. */
  listen(subject: string, listener: (bytes: Buffer) => void): () => void {
    const subscription = this.connection.subscribe(subject, {
      callback: (error, { data }) => {
        if (error === null) listener(Buffer.from(data.buffer, data.byteOffset, data.byteLength));
      },
    });
    return () => subscription.unsubscribe();
  }

  /** Resolves when the server has taken everything sent before. */
  flushed(): Promise<void> {
    // The client forgets who waits when the connection ends.
    const ended = this.connection.closed().then(() => {
      throw new Error('the connection ended');
    });
    return Promise.race([this.connection.flush(), ended]);
  }

  /** Pings; a connection that does not answer is given up at once. */
  async prove(): Promise<void> {
    if (this.#isOver || this.#isProving) return;
    this.#isProving = true;
    const isAlive = await new Promise<boolean>((resolve) => {
      const cancel = this.#options.env.setTimer(PROOF_MS, () => resolve(false));
      this.flushed().then(
        () => {
          cancel();
          resolve(true);
        },
        () => resolve(false),
      );
    });
    this.#isProving = false;
    if (!isAlive) this.lose(new Error('the server does not answer any more'));
  }

  /** Gives it up; whoever owns it is told. */
  lose(error: Error): void {
    if (this.#isOver) return;
    void this.end(error.message);
    this.#options.onLost(error);
  }

  /** Ends it; nobody is told but those who wait for something. */
  end(why: string): Promise<void> {
    if (this.#isOver) return Promise.resolve();
    this.#isOver = true;
    this.publisher.end(why);
    for (const follower of this.#followers) follower.end(new Error(why));
    this.#followers.clear();
    return this.connection.close();
  }

  #assertSame(partition: number, identity: string): void {
    if (this.constants.partitions[partition]?.identity === identity) return;
    const stream = this.#options.names.stream(partition);
    throw new PartitionGoneError(`the stream ${stream} was made anew at ${identity}: it is another one`);
  }
}
