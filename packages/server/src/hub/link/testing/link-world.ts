/** A hub with a log, and a process that follows it over a link in memory whose bytes come in pieces of any size. */
import assert from 'node:assert/strict';
import { nodeEnv } from '../../../env.ts';
import { Link } from '../../../view/remote/link.ts';
import { RemoteView } from '../../../view/remote/remote-view.ts';
import type { Connection } from '../../connection.ts';
import type { World } from '../../testing/hub-world.ts';
import { LinkAppender } from '../link-appender.ts';
import { LINK_OUTBOX_BYTES, linkCodec, LinkSession } from '../link-session.ts';

/** One direction: what is written comes later, cut anywhere. */
class Pipe {
  /** While true nothing comes. */
  isHeld = false;
  readonly #cut: (bytes: number) => number;
  readonly #deliver: (chunk: Buffer) => void;
  readonly #onTaken: () => void;
  #waiting: Buffer = Buffer.alloc(0);

  constructor(cut: (bytes: number) => number, deliver: (chunk: Buffer) => void, onTaken = (): void => {}) {
    this.#cut = cut;
    this.#deliver = deliver;
    this.#onTaken = onTaken;
  }

  get backlogBytes(): number {
    return this.#waiting.length;
  }

  write(chunks: readonly Buffer[]): void {
    this.#waiting = Buffer.concat([this.#waiting, ...chunks]);
    setImmediate(() => this.flow());
  }

  /** Delivers what waits, piece by piece, some of it in the next turn. */
  flow(): void {
    while (this.#waiting.length > 0 && !this.isHeld) {
      const bytes = this.#cut(this.#waiting.length);
      if (bytes === 0) {
        setImmediate(() => this.flow());
        return;
      }
      const piece = Buffer.from(this.#waiting.subarray(0, bytes));
      this.#waiting = this.#waiting.subarray(bytes);
      this.#deliver(piece);
    }
    this.#onTaken();
  }
}

export interface Linked {
  readonly view: RemoteView;
  readonly appender: LinkAppender;
  readonly link: Link;
  /** To the process that follows. */
  readonly down: Pipe;
  /** To the one with the log. */
  readonly up: Pipe;
  end(): void;
}

/** @param cut of so many bytes that wait, how many come next; 0: none in this turn */
export function linkTo(world: World, cut: (bytes: number) => number = (bytes) => bytes): Linked {
  const down: Pipe = new Pipe(
    cut,
    (chunk) => link.receive(chunk),
    () => session.onDrain(),
  );
  const up: Pipe = new Pipe(cut, (chunk) => session.receive(chunk));
  const link: Link = new Link(nodeEnv, { write: (chunks) => up.write(chunks), backlogBytes: () => up.backlogBytes });
  const view = new RemoteView(link, (error) => assert.fail(String(error)));
  link.onMessage = (message) => void view.take(message);
  link.onReadEnd = () => view.handOn();
  const connection: Connection = {
    transport: 'link',
    codec: linkCodec,
    outboxBytesMax: LINK_OUTBOX_BYTES,
    backlogBytes: () => down.backlogBytes,
    write: (chunk) => down.write([chunk]),
    writeAll: (chunks) => down.write(chunks),
    pause: () => {},
    resume: () => {},
    close: () => {},
  };
  const session = new LinkSession(
    {
      hub: world.hub,
      relay: () => {},
      metrics: () => Promise.resolve(''),
      feed: () => Promise.resolve(Buffer.alloc(0)),
      onFigures: () => {},
      onListening: () => {},
      onTrouble: (error) => assert.fail(String(error)),
    },
    connection,
    {},
  );
  const end = (): void => {
    session.ended();
    link.close();
  };
  return { view, appender: new LinkAppender(link, view, () => {}), link, down, up, end };
}
