/**
 * The graceful end of sessions (PROTOCOL.md CLS-2, SSE-8): let load balancers notice, tell everyone to come back elsewhere
 * within a time, let what is in flight end, then close whoever is still there.
 */
import type { Env } from '../env.ts';
import type { Commands } from '../hub/commands.ts';
import type { Hub } from '../hub/hub.ts';
import type { Logger } from '../ops/logger.ts';
import type { EventStreams } from '../transport/sse.ts';

/** How often it is looked whether everyone has gone. */
const LOOK_MS = 50;

export async function drainSessions(parts: {
  readonly env: Env;
  readonly hub: Hub;
  readonly commands: Commands;
  readonly streams: EventStreams;
  readonly logger: Logger;
  /** Whether there is another node, to which clients can go. */
  readonly hasOthers: () => boolean;
  /** How long load balancers may take to see what /readyz says. */
  readonly noticeMs: number;
  readonly drainMs: number;
  /** From now on nobody new is taken. */
  readonly onLeaving: () => void;
}): Promise<void> {
  const { env, hub, commands, streams, logger, hasOthers, drainMs } = parts;
  const remote = () =>
    [...hub.sessions].filter(({ connection: { transport } }) => transport !== 'local' && transport !== 'link');
  const noticeMs = drainMs === 0 ? 0 : parts.noticeMs;
  await until(env, noticeMs, () => !hasOthers() || remote().length === 0);
  parts.onLeaving();
  const beganMs = env.monotonicMs();
  const told = remote();
  for (const session of told) {
    if (session.connection.transport !== 'sse') session.send({ op: 'drain', withinMs: drainMs });
  }
  streams.drain(drainMs, hasOthers);
  if (told.length > 0) logger.log('drain.step', { count: told.length, message: 'sessions told to move' });
  await until(env, drainMs, () => remote().length === 0);
  const left = remote();
  await hub.drained();
  for (const session of left) commands.replies.close(session, 'going_away', 'the server is stopping');
  logger.log('drain.step', {
    count: told.length - left.length,
    durationMs: Math.round(env.monotonicMs() - beganMs),
    message: `sessions that ended by themselves; closed besides: ${left.length}`,
  });
}

async function until(env: Env, withinMs: number, holds: () => boolean): Promise<void> {
  const endMs = env.monotonicMs() + withinMs;
  while (!holds() && env.monotonicMs() < endMs) {
    await new Promise<void>((resolve) => env.setTimer(Math.min(LOOK_MS, withinMs), resolve));
  }
}
