/**
 * A worker's end of its link: what the process with the log says of itself, and the backbone that a worker has instead of
 * a log.
 */
import { Socket } from 'node:net';
import { timing } from '@tideway/protocol';
import type { Identity } from '../../auth/identity.ts';
import type { Env } from '../../env.ts';
import type { RemoteBackbone } from '../../hub/backbone.ts';
import { LinkAppender } from '../../hub/link/link-appender.ts';
import { partitionOfChannel } from '../../log/broker/native-record.ts';
import type { LogHealth } from '../../log/log.ts';
import { Link } from '../../view/remote/link.ts';
import { RemoteView } from '../../view/remote/remote-view.ts';
import type { LogChange } from '../../ops/observer.ts';
import type { Backbones } from '../backbones.ts';
import { Switchboard } from './switchboard.ts';

/** The descriptor that a worker finds open: a socket whose other end the primary holds, and nobody else can reach. */
const LINK_DESCRIPTOR = 4;

/** What a worker is told first. */
export interface Beginning {
  /** Where all workers listen. */
  readonly port: number;
  /** Signs tickets, in all of them. */
  readonly ticketKey: string;
}

export interface WorkerLinkEvents {
  readonly onLog: (change: LogChange) => void;
  readonly onTrouble: (error: unknown) => void;
}

export class WorkerLink {
  readonly link: Link;
  readonly signals = new Switchboard();
  readonly beginning: Promise<Beginning>;
  /** Called when the primary wants this worker to end, with how long its clients may take. */
  onDrain: (withinMs: number) => void = () => {};
  /** The metrics of this process. */
  onMeasure: () => string = () => '';
  /** Called when the primary is gone. */
  onLost: () => void = () => {};
  readonly #socket: Socket;
  readonly #view: RemoteView;
  #begin: (beginning: Beginning) => void = () => {};
  /** What the primary said last. */
  #log: LogHealth = { partitions: 1, down: [] };
  #events: WorkerLinkEvents | undefined;
  #told: LogHealth = this.#log;

  constructor(env: Env, socket: Socket) {
    this.#socket = socket;
    this.beginning = new Promise((resolve) => (this.#begin = resolve));
    this.link = new Link(env, {
      backlogBytes: () => socket.writableLength,
      write(chunks) {
        socket.cork();
        for (const chunk of chunks) socket.write(chunk);
        socket.uncork();
      },
    });
    this.#view = new RemoteView(this.link, (error) => this.#events?.onTrouble(error));
    this.signals.add({ say: (to, bytes) => this.link.send({ op: 'say', ...(to === undefined ? {} : { to }) }, bytes) });
    this.link.onReadEnd = () => this.#view.handOn();
    this.link.onSilence = () => this.#tellLog();
    this.link.onMessage = (message) => {
      if (this.#view.take(message)) return;
      const { frame, payload } = message;
      switch (frame.op) {
        case 'begin':
          return this.#begin(frame as unknown as Beginning);
        case 'beat':
          this.#log = { partitions: frame['partitions'] as number, down: frame['down'] as number[] };
          return this.#tellLog();
        case 'say':
          return this.signals.hear(frame['to'] as string | undefined, payload ?? Buffer.alloc(0));
        case 'measure':
          return this.link.send({ op: 'measured' }, Buffer.from(this.onMeasure()));
        case 'drain':
          return this.onDrain(frame['withinMs'] as number);
      }
    };
    socket.on('data', (chunk: Buffer) => this.link.receive(chunk));
    socket.on('error', () => {});
    socket.on('close', () => this.onLost());
  }

  /** Opens the socket that this process was started with. */
  static open(env: Env): WorkerLink {
    return new WorkerLink(env, new Socket({ fd: LINK_DESCRIPTOR, readable: true, writable: true }));
  }

  /** All namespaces are the primary's, those in memory too. */
  backbones(events: WorkerLinkEvents): Backbones {
    const view = this.#view;
    this.#events = events;
    const durable: RemoteBackbone = {
      view,
      partitionOf: (channel) => partitionOfChannel(channel, this.#log.partitions),
      createAppender: (onAnswered) => new LinkAppender(this.link, view, onAnswered),
    };
    return {
      durable,
      partitions: this.#log.partitions,
      memory: undefined,
      signals: this.signals,
      close: () => {
        this.link.close();
        // It ends because this process does.
        this.onLost = () => {};
        this.#socket.end();
        return Promise.resolve();
      },
    };
  }

  /** The answer to a request for a feed, as this identity. It may wait as long as the request says. */
  async readFeed(url: string, identity: Identity): Promise<Buffer> {
    const { payload } = await this.link.request({ op: 'feed', url, identity }, { deadlineMs: 2 * timing.waitMs });
    return payload ?? Buffer.alloc(0);
  }

  /** The metrics of all processes. */
  async readMetrics(): Promise<string> {
    const { payload } = await this.link.request({ op: 'metrics' });
    return payload?.toString('utf8') ?? '';
  }

  #tellLog(): void {
    const { partitions } = this.#log;
    const { isSilent } = this.link;
    const health = isSilent ? { partitions, down: Array.from({ length: partitions }, (_, n) => n) } : this.#log;
    const [down, before] = [new Set(health.down), new Set(this.#told.down)];
    if (this.#events === undefined || (down.size === before.size && before.isSubsetOf(down))) return;
    this.#told = health;
    if (!before.isSubsetOf(down)) this.#events.onLog({ state: 'up', health });
    if (down.isSubsetOf(before)) return;
    const message = isSilent ? 'the process that has the log gives no answer' : undefined;
    this.#events.onLog({ state: 'down', health, message });
  }
}
