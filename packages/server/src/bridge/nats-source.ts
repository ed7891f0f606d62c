/**
 * A subject of JetStream as a source. A durable consumer keeps the place: what it acknowledged last. It pushes to one
 * copy of the bridge, in order. JetStream would give what was not acknowledged again behind newer messages, so a life
 * that finds such makes the consumer anew at its place. What is under way to the bridge JetStream itself bounds by bytes:
 * now and then it asks for a word, and after a while goes on only when it has it.
 */
import type { ConsumerConfig, ConsumerInfo, JetStreamManager } from '@nats-io/jetstream';
import type { Msg, NatsConnection } from '@nats-io/transport-node';
import { nodeEnv, randomId } from '../env.ts';
import { BrokerError } from '../log/broker/broker-port.ts';
import { connectNats, loadNatsClient } from '../log/nats/nats-client.ts';
import { apiCodeOf, apiCodes, apiFault } from '../log/nats/nats-fault.ts';
import { decodeHeaders } from '../log/nats/nats-headers.ts';
import { parseDelivery } from '../log/nats/nats-pull.ts';
import type { BridgeAddress } from './bridge-address.ts';
import { Inbox } from './inbox.ts';
import { type Message, shortened, type Source, StandBy, TAKEN_MAX } from './message.ts';

type NatsBridge = Extract<BridgeAddress, { broker: 'nats' }>;

interface NatsMessage extends Message {
  /** Where its acknowledgement is sent. */
  readonly reply: string;
}

const NANOS_PER_MS = 1_000_000;
const HEARTBEAT_MS = 2_000;
/** Without one for so long the consumer is gone, or the connection does not say that it is. */
const SILENT_MS = 3 * HEARTBEAT_MS;
/** What is not acknowledged is sent again after this; it is in hand already, and let fall. */
const ACK_WAIT_MS = 60_000;
const ACK_MS = 5_000;
/** In a heartbeat: where the word is sent that JetStream waits for. */
const STALLED = 'Nats-Consumer-Stalled';

export async function openNatsSource(address: NatsBridge, group: string): Promise<Source> {
  const client = await loadNatsClient();
  const connection = await connectNats(client, address.at, { alsoKnown: [], env: nodeEnv });
  try {
    const manager = await client.jetstreamManager(connection);
    const stream = await streamOf(manager, address);
    const { created, config } = await manager.streams.info(stream);
    if (config.retention === 'workqueue') {
      const why = `the stream ${stream} has the retention workqueue, whose messages have one consumer and no second try in order`;
      throw new BrokerError(`${address.place}: ${why}; bridge a stream with limits or interest`, { isFinal: true });
    }
    const place = await placeOf(manager, { stream, group, subject: address.subject });
    const deliverTo = `_INBOX.${randomId(nodeEnv)}`;
    const source = new NatsSource(connection, stream, shortened(`${stream}\n${created}`).slice(0, 16));
    source.listen(deliverTo);
    await makeConsumer(manager, stream, group, { subject: address.subject, place, deliverTo });
    return source;
  } catch (error) {
    await connection.close();
    if (error instanceof StandBy || error instanceof BrokerError) throw error;
    throw new Error(`${address.place}: ${apiFault(error)}`, { cause: error });
  }
}

async function streamOf(manager: JetStreamManager, { subject, place }: NatsBridge): Promise<string> {
  try {
    return await manager.streams.find(subject);
  } catch (error) {
    if (!/no stream matches/i.test((error as Error).message)) throw error;
    throw new BrokerError(`${place}: no stream of JetStream has the subject ${subject}`, {
      isFinal: true,
      cause: error,
    });
  }
}

/** The sequence that was acknowledged last; absent where the bridge never ran. Rejects with `StandBy`. */
async function placeOf(
  manager: JetStreamManager,
  { stream, group, subject }: { readonly stream: string; readonly group: string; readonly subject: string },
): Promise<number | undefined> {
  const main = await consumerInfo(manager, stream, group);
  if (main === undefined) {
    const spare = await consumerInfo(manager, stream, spareOf(group));
    return spare === undefined ? undefined : floorOf(spare);
  }
  if (main.config.deliver_subject === undefined || main.config.filter_subject !== subject) {
    const message = `the consumer ${group} of ${stream} is none of this bridge's; choose another group, or remove it`;
    throw new BrokerError(message, { isFinal: true });
  }
  if (main.push_bound) throw new StandBy(`another copy of this bridge has the consumer ${group}`);
  return floorOf(main);
}

/** Makes the consumer anew; a spare one keeps its place meanwhile. */
async function makeConsumer(
  manager: JetStreamManager,
  stream: string,
  group: string,
  at: { readonly subject: string; readonly place: number | undefined; readonly deliverTo: string },
): Promise<void> {
  const config = (name: string): Partial<ConsumerConfig> => ({
    durable_name: name,
    ack_policy: 'all',
    ack_wait: ACK_WAIT_MS * NANOS_PER_MS,
    max_ack_pending: 2 * TAKEN_MAX,
    idle_heartbeat: HEARTBEAT_MS * NANOS_PER_MS,
    flow_control: true,
    filter_subject: at.subject,
    deliver_subject: at.deliverTo,
    ...(at.place === undefined
      ? { deliver_policy: 'all' }
      : { deliver_policy: 'by_start_sequence', opt_start_seq: at.place + 1 }),
  });
  if (at.place !== undefined) {
    const spare = spareOf(group);
    await remove(manager, stream, spare);
    // Nobody listens there: it is given nothing.
    await manager.consumers.add(stream, { ...config(spare), deliver_subject: `${at.deliverTo}.spare` });
    await remove(manager, stream, group);
  }
  await manager.consumers.add(stream, config(group));
  if (at.place !== undefined) await remove(manager, stream, spareOf(group));
}

function spareOf(group: string): string {
  return `${group}-next`;
}

/** A consumer that acknowledged nothing yet still knows where it began. */
function floorOf({ ack_floor, config }: ConsumerInfo): number {
  return Math.max(ack_floor.stream_seq, (config.opt_start_seq ?? 1) - 1);
}

async function consumerInfo(
  manager: JetStreamManager,
  stream: string,
  name: string,
): Promise<ConsumerInfo | undefined> {
  return manager.consumers.info(stream, name).catch((error: unknown) => {
    if (apiCodeOf(error) === apiCodes.consumerNotFound) return undefined;
    throw error;
  });
}

async function remove(manager: JetStreamManager, stream: string, name: string): Promise<void> {
  await manager.consumers.delete(stream, name).catch((error: unknown) => {
    if (apiCodeOf(error) !== apiCodes.consumerNotFound) throw error;
  });
}

class NatsSource implements Source {
  readonly #connection: NatsConnection;
  readonly #stream: string;
  readonly #identity: string;
  readonly #inbox = new Inbox<NatsMessage>();
  /** Of deliveries: one that is left out was lost on its way. */
  #delivered = 0;
  /** Of the stream. */
  #newest = 0;
  #cancelWatch: (() => void) | undefined;
  #given: readonly NatsMessage[] = [];
  /** Where JetStream waits to be told that it may go on. */
  #asked: string | undefined;

  constructor(connection: NatsConnection, stream: string, identity: string) {
    this.#connection = connection;
    this.#stream = stream;
    this.#identity = identity;
    void connection.closed().then((error) => {
      const why = error instanceof Error ? error.message : 'the server closed the connection';
      this.#inbox.fail(new Error(why, { cause: error }));
    });
  }

  listen(subject: string): void {
    this.#watch();
    void this.#failWithStatus();
    this.#connection.subscribe(subject, {
      callback: (error, message) => {
        if (error === null) this.#take(message);
        else this.#inbox.fail(error);
      },
    });
  }

  async next(signal: AbortSignal): Promise<readonly Message[]> {
    this.#given = await this.#inbox.take(signal);
    this.#answer();
    return this.#given;
  }

  /** The acknowledgement of the last one is that of all before it. */
  async settled(): Promise<void> {
    const reply = this.#given.at(-1)?.reply;
    if (reply !== undefined) await this.#connection.request(reply, '+ACK', { timeout: ACK_MS });
  }

  async close(): Promise<void> {
    this.#cancelWatch?.();
    await this.#connection.close();
  }

  #take(message: Msg): void {
    this.#watch();
    if (message.headers?.code === 100) {
      const asked = [message.reply, message.headers.get(STALLED)].find((subject) => subject);
      this.#asked = asked ?? this.#asked;
      return this.#answer();
    }
    const place = parseDelivery(message.reply ?? '');
    if (place === undefined || place.delivery !== ++this.#delivered) {
      return this.#inbox.fail(new Error('a message was lost on its way; everything from it on is asked for again'));
    }
    if (place.number <= this.#newest) return;
    this.#newest = place.number;
    const { data } = message;
    this.#inbox.push({
      reply: message.reply as string,
      subject: message.subject,
      headers: decodeHeaders(message.headers) ?? new Map(),
      body: Buffer.from(data.buffer, data.byteOffset, data.byteLength),
      id: `${this.#identity}/${place.number}`,
      place: `stream ${this.#stream}, sequence ${place.number}`,
    });
  }

  /** All that came before the question was taken in. */
  #answer(): void {
    if (this.#asked === undefined || this.#inbox.isFull || this.#connection.isClosed()) return;
    this.#connection.publish(this.#asked);
    this.#asked = undefined;
  }

  /** An account that may not answer would wait for ever. */
  async #failWithStatus(): Promise<void> {
    for await (const status of this.#connection.status()) {
      if (status.type === 'error') this.#inbox.fail(status.error);
    }
  }

  #watch(): void {
    this.#cancelWatch?.();
    this.#cancelWatch = nodeEnv.setTimer(SILENT_MS, () => {
      this.#inbox.fail(new Error('JetStream says nothing any more: the consumer was removed, or its server is away'));
    });
  }
}
