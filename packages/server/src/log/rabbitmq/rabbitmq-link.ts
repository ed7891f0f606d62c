/**
 * The two connections of a port: one writes, one reads, since RabbitMQ stops to read from a connection that writes
 * while its disk or memory is full. Finds out when one is lost, also one that just says nothing any more.
 */
import { readFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import type { Channel, ChannelModel } from 'amqplib';
import { nodeEnv } from '../../env.ts';
import { BrokerError } from '../broker/broker-port.ts';
import { loadAmqplib } from './amqplib-package.ts';
import { within } from './deadline.ts';
import type { RabbitmqAddress, RabbitmqHost } from './rabbitmq-address.ts';
import { codeOf, connectFailure } from './rabbitmq-failure.ts';
import { StreamLooks } from './stream-looks.ts';

/** How long a handshake may say nothing. */
const SILENT_MS = 5_000;
/** The broker gives up on us after two of these without a sign of life. */
const HEARTBEAT_SECONDS = 10;
/** Each connection is asked for an answer this often; after two rounds without one it is lost. */
const PULSE_MS = 3_000;
const PULSES_MISSED_MAX = 2;
export const DETECT_MS = PULSE_MS * (PULSES_MISSED_MAX + 1);
const CLOSE_MS = 1_000;

export class RabbitmqLink {
  /** For confirmed publishing and for commands that change something. */
  readonly writing: ChannelModel;
  /** For consumers. */
  readonly reading: ChannelModel;
  /** Short ones, on the connection that reads. */
  readonly looks: StreamLooks;
  /** Why the broker takes no records at the moment: an alarm of its memory or disk. */
  blocked: string | undefined;
  readonly #onDown: (error: Error) => void;
  #cancelPulse: (() => void) | undefined;
  #isOver = false;

  private constructor(writing: ChannelModel, reading: ChannelModel, onDown: (error: Error) => void) {
    this.writing = writing;
    this.reading = reading;
    this.looks = new StreamLooks(reading);
    this.#onDown = onDown;
  }

  /** @param onDown called once, when a connection is lost; both are gone then. */
  static async open(
    address: RabbitmqAddress,
    member: RabbitmqHost,
    onDown: (error: Error) => void,
  ): Promise<RabbitmqLink> {
    const amqplib = await loadAmqplib();
    const files = address.tls;
    const tls = {
      ca: files?.ca === undefined ? undefined : await readPem(files.ca),
      cert: files?.cert === undefined ? undefined : await readPem(files.cert),
      key: files?.key === undefined ? undefined : await readPem(files.key),
    };
    const connect = (purpose: string): Promise<ChannelModel> =>
      amqplib.connect(
        {
          protocol: files === undefined ? 'amqp' : 'amqps',
          hostname: member.host,
          port: member.port,
          username: address.user,
          password: address.password,
          vhost: encodeURIComponent(address.vhost),
          // Among the socket's options it would be ignored.
          heartbeat: HEARTBEAT_SECONDS,
        },
        {
          // Nagle would hold every lone record back for 40 ms.
          noDelay: true,
          timeout: SILENT_MS,
          clientProperties: { connection_name: `${address.name} (${purpose})` },
          ...(files === undefined ? {} : tls),
        },
      );
    const made = await Promise.allSettled([connect('writes'), connect('reads')]);
    const [writing, reading] = made.map((one) => (one.status === 'fulfilled' ? one.value : undefined));
    if (writing === undefined || reading === undefined) {
      for (const model of [writing, reading]) if (model !== undefined) destroy(model);
      const failed = made.find((one) => one.status === 'rejected');
      throw connectFailure(failed?.reason, address, member);
    }
    const link = new RabbitmqLink(writing, reading, onDown);
    link.#watch();
    await link.#startPulse();
    return link;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Drops both connections. */
  end(error: Error): void {
    if (this.#isOver) return;
    this.#finish();
    for (const model of [this.writing, this.reading]) destroy(model);
    this.#onDown(error);
  }

  /** Says goodbye; nobody is told. */
  async close(): Promise<void> {
    if (this.#isOver) return;
    this.#finish();
    const late = (): Error => new Error('RabbitMQ did not say goodbye');
    const models = [this.writing, this.reading];
    await Promise.allSettled(models.map((model) => within(model.close(), CLOSE_MS, late)));
    for (const model of models) destroy(model);
  }

  #finish(): void {
    this.#isOver = true;
    this.#cancelPulse?.();
  }

  #watch(): void {
    for (const model of [this.writing, this.reading]) {
      model.on('error', (error) => this.end(error));
      model.on('close', (error) => this.end(error ?? new Error('RabbitMQ closed the connection')));
    }
    this.writing.on('blocked', (reason) => (this.blocked = reason));
    this.writing.on('unblocked', () => (this.blocked = undefined));
  }

  /** Asks both connections for an answer, again and again. */
  async #startPulse(): Promise<void> {
    const pulses = await Promise.all([
      Pulse.start(this.writing, () => this.blocked !== undefined),
      Pulse.start(this.reading, () => false),
    ]);
    const beat = (): void => {
      if (this.#isOver) return;
      const silent = pulses.find((pulse) => pulse.beat() > PULSES_MISSED_MAX);
      if (silent === undefined) this.#cancelPulse = nodeEnv.setTimer(PULSE_MS, beat);
      else this.end(new Error(`RabbitMQ has not answered for ${PULSE_MS * PULSES_MISSED_MAX} ms`));
    };
    beat();
  }
}

/** Counts the rounds in which one connection did not answer; rounds, so that a pause of this process counts once. */
class Pulse {
  readonly #channel: Channel;
  readonly #isExcused: () => boolean;
  #missed = 0;

  private constructor(channel: Channel, isExcused: () => boolean) {
    this.#channel = channel;
    this.#isExcused = isExcused;
  }

  static async start(model: ChannelModel, isExcused: () => boolean): Promise<Pulse> {
    const channel = await model.createChannel();
    channel.on('error', () => undefined);
    return new Pulse(channel, isExcused);
  }

  /** How many rounds in a row are without an answer. */
  beat(): number {
    if (this.#missed === 0 && !this.#isExcused()) {
      this.#channel.prefetch(1).then(
        () => (this.#missed = 0),
        () => undefined,
      );
    }
    if (this.#isExcused()) this.#missed = Math.min(this.#missed, 1);
    else this.#missed++;
    return this.#missed;
  }
}

/** A connection that is lost cannot be ended by words. */
function destroy(model: ChannelModel): void {
  model.removeAllListeners();
  model.on('error', () => undefined);
  // The client keeps its socket to itself, and only ends it: one that nobody answers would stay open for ever. With an
  // error, so that it tells its channels.
  const { stream } = model.connection as unknown as { readonly stream: Socket };
  stream.destroy(new Error('the connection was given up'));
}

async function readPem(file: string): Promise<Buffer> {
  try {
    return await readFile(file);
  } catch (cause) {
    throw new BrokerError(`the file ${file} cannot be read (${String(codeOf(cause))})`, { isFinal: true, cause });
  }
}
