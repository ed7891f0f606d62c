/**
 * A subject of JetStream as a sink. A subject that ends with `.>` gets the channel as its last token. The record's cursor
 * is the `Nats-Msg-Id`, by which the stream itself drops what is written twice within its `duplicate_window`.
 */
import type { JetStreamClient } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { nodeEnv } from '../env.ts';
import { BrokerError } from '../log/broker/broker-port.ts';
import { connectNats, loadNatsClient } from '../log/nats/nats-client.ts';
import { apiCodeOf, apiFault } from '../log/nats/nats-fault.ts';
import { encodeHeaders, publishedHeaders } from '../log/nats/nats-headers.ts';
import { subjectToken } from '../log/nats/nats-subject.ts';
import type { BridgeAddress } from './bridge-address.ts';
import { CHANNEL_HEADER, type Outgoing, type Sink, Unwritable } from './sink.ts';

type NatsBridge = Extract<BridgeAddress, { broker: 'nats' }>;

/** A message that is larger than the stream allows. */
const TOO_LARGE = 10_054;

export async function openNatsSink(address: NatsBridge): Promise<Sink> {
  const client = await loadNatsClient();
  const connection = await connectNats(client, address.at, { alsoKnown: [], env: nodeEnv });
  try {
    const manager = await client.jetstreamManager(connection);
    await manager.streams.find(address.subject);
    return new NatsSink(address, connection, manager.jetstream());
  } catch (error) {
    await connection.close();
    const { subject, place } = address;
    const isFinal = /no stream matches/i.test((error as Error).message);
    const why = isFinal ? `no stream of JetStream has the subject ${subject}` : apiFault(error);
    throw new BrokerError(`${place}: ${why}`, { isFinal, cause: error });
  }
}

class NatsSink implements Sink {
  readonly #address: NatsBridge;
  readonly #connection: NatsConnection;
  readonly #js: JetStreamClient;

  constructor(address: NatsBridge, connection: NatsConnection, js: JetStreamClient) {
    this.#address = address;
    this.#connection = connection;
    this.#js = js;
  }

  async put({ channel, id, value, headers }: Outgoing): Promise<void> {
    const { subject, place } = this.#address;
    const to = subject.endsWith('.>') ? `${subject.slice(0, -1)}${subjectToken(channel)}` : subject;
    const block = encodeHeaders(new Map([[CHANNEL_HEADER, channel], ...headers, ['Nats-Msg-Id', id]])) as Buffer;
    const bytesMax = this.#connection.info?.max_payload ?? Number.POSITIVE_INFINITY;
    if (block.length + value.length > bytesMax) {
      const bytes = `${block.length + value.length} bytes with its headers`;
      throw new Unwritable(`${place}: it has ${bytes}; max_payload of the server is ${bytesMax}`);
    }
    try {
      await this.#js.publish(to, value, { headers: publishedHeaders(block) });
    } catch (error) {
      if (apiCodeOf(error) === TOO_LARGE) throw new Unwritable(`${place}: ${apiFault(error)}`, error);
      throw new Error(`${place}: ${apiFault(error)}`, { cause: error });
    }
  }

  close(): Promise<void> {
    return this.#connection.close();
  }
}
