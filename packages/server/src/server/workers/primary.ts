/**
 * A server of several processes, as the one that has the log: log, fold, view and hub are here, clients are on workers.
 * Each worker follows over its link like a client; nothing is handed out on a second way.
 */
import { createServer as createNetServer, type Socket } from 'node:net';
import type { Contract } from '@tideway/protocol';
import type { Env } from '../../env.ts';
import type { Connection } from '../../hub/connection.ts';
import { LINK_OUTBOX_BYTES, linkCodec, LinkSession } from '../../hub/link/link-session.ts';
import type { ServerOptions } from '../../ops/config.ts';
import { createNode } from '../../server.ts';
import type { Server } from '../server-contract.ts';
import { joinMetrics } from '../../ops/metrics-of-processes.ts';
import { SocketWrites } from '../../transport/socket-writes.ts';
import { awake } from '../awake.ts';
import { answerFeed } from '../in-process.ts';
import { cannotListen } from '../listener.ts';
import type { Figures } from '../vitals.ts';
import { Switchboard } from './switchboard.ts';
import { WorkerProcesses } from './worker-processes.ts';

/** A connection to a worker: its socket takes frames as they are. */
class LinkConnection extends SocketWrites implements Connection {
  readonly transport = 'link';
  readonly codec = linkCodec;
  readonly outboxBytesMax = LINK_OUTBOX_BYTES;
  readonly #socket: Socket;

  constructor(socket: Socket) {
    super(socket);
    this.#socket = socket;
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  close(): void {
    this.#socket.end();
  }
}

/**
 * Opens log and view here; `listen` starts the workers and resolves when all of them take connections.
 *
 * @throws as `createServer` does
 */
export async function createPrimary<C extends Contract = Contract>(
  options: ServerOptions & { readonly contract?: C | undefined },
): Promise<Server<C>> {
  const signals = new Switchboard();
  const sessions = new Map<number, LinkSession>();
  const figures = new Map<number, Figures>();
  // Methods are the workers': what the application does in one must not hold up the log.
  const { server, inside } = await createNode<C>(
    { ...options, calls: undefined },
    { signals, workerFigures: () => [...figures.values()] },
  );
  const { config, env, logger } = inside;
  const closed = Promise.withResolvers<void>();
  // This process listens on nothing.
  void awake(closed.promise);
  const urls = new Map<number, string>();
  let port = config.port;
  let url: string | undefined;
  let onListening = (): void => {};
  const processes = new WorkerProcesses({
    env,
    logger,
    events: { onStarted: begin },
  });

  function begin(
    number: number,
    pid: number | undefined,
    socket: Socket,
  ): { tellDrain(withinMs: number): void; ended(): void } {
    const session = new LinkSession(
      {
        hub: inside.hub,
        relay: (from, to, bytes) => signals.relay(from, to, bytes),
        metrics,
        feed: (at, identity) => answerFeed(inside.reading, identity, at),
        onFigures: (told) => figures.set(number, told as Figures),
        onTrouble: inside.onTrouble,
        onListening(at) {
          urls.set(number, at);
          processes.heard(number, true);
          logger.log('worker.started', { worker: number, pid });
          onListening();
        },
      },
      new LinkConnection(socket),
      { port, ticketKey: Buffer.from(inside.ticketKey).toString('base64') },
    );
    const leave = signals.add(session);
    sessions.set(number, session);
    socket.on('data', (chunk: Buffer) => {
      processes.heard(number);
      session.receive(chunk);
    });
    socket.on('drain', () => session.onDrain());
    socket.on('error', () => {});
    return {
      tellDrain: (withinMs) => session.tellDrain(withinMs),
      ended() {
        leave();
        session.ended();
        urls.delete(number);
        sessions.delete(number);
        figures.delete(number);
      },
    };
  }

  async function metrics(): Promise<string> {
    const parts = [...sessions].map(async ([number, session]) => {
      return { process: `worker-${number}`, text: await session.measure() };
    });
    return joinMetrics([{ process: 'primary', text: inside.renderMetrics() }, ...(await Promise.all(parts))]);
  }

  async function listen(): Promise<{ readonly url: string; readonly port: number }> {
    port = await findPort(env, config.host, config.port);
    await new Promise<void>((resolve, reject) => {
      onListening = () => {
        if (urls.size === config.workers) resolve();
      };
      // Before all of them were there once, one that gives up says what is wrong with all.
      processes.onFailed = (number, why) => reject(new Error(`worker ${number} could not begin: ${why}`));
      for (let number = 1; number <= config.workers; number++) processes.start(number);
    });
    processes.onFailed = () => {};
    url = urls.values().next().value as string;
    return { url, port };
  }

  let closing: Promise<void> | undefined;
  return {
    ...server,
    get url() {
      return url;
    },
    listen,
    close: ({ drainMs = config.drainMs } = {}) =>
      (closing ??= (async () => {
        inside.health.setState('draining');
        inside.leave();
        await processes.end(drainMs);
        await server.close({ drainMs });
        closed.resolve();
      })()),
  };
}

/**
 * A port that nobody listens on: workers share theirs, so none of them would notice somebody else on it. Those of a
 * server that was killed may need a moment to end.
 */
async function findPort(env: Env, host: string, port: number): Promise<number> {
  const untilMs = env.monotonicMs() + LEFT_OVER_MS;
  for (;;) {
    const probe = createNetServer();
    try {
      await new Promise<void>((resolve, reject) => {
        probe.once('error', reject);
        probe.listen({ host, port, exclusive: true }, resolve);
      });
      const { port: found } = probe.address() as { readonly port: number };
      await new Promise<void>((resolve) => probe.close(() => resolve()));
      return found;
    } catch (error) {
      const isTaken = (error as NodeJS.ErrnoException).code === 'EADDRINUSE';
      if (!isTaken || env.monotonicMs() > untilMs) throw cannotListen(error as NodeJS.ErrnoException, host, port);
      await new Promise<void>((resolve) => env.setTimer(LOOK_MS, resolve));
    }
  }
}

/** How long a port may stay taken by workers whose server was killed. */
const LEFT_OVER_MS = 3_000;
const LOOK_MS = 50;
