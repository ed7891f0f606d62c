/**
 * The graceful end of sessions (PROTOCOL.md CLS-2): tell everyone to come back elsewhere within a time, let what is in
 * flight end, then close whoever is still there.
 */
import type { Env } from '../env.ts';
import type { Commands } from '../hub/commands.ts';
import type { Hub } from '../hub/hub.ts';
import type { Logger } from '../ops/logger.ts';
import { drainBlock } from '../transport/sse.ts';

/** How often it is looked whether everyone has gone. */
const LOOK_MS = 50;

export async function drainSessions(parts: {
  readonly env: Env;
  readonly hub: Hub;
  readonly commands: Commands;
  readonly logger: Logger;
  readonly drainMs: number;
}): Promise<void> {
  const { env, hub, commands, logger, drainMs } = parts;
  const beganMs = env.monotonicMs();
  const remote = () => [...hub.sessions].filter(({ connection }) => connection.transport !== 'local');
  const told = remote();
  for (const session of told) {
    if (session.connection.transport === 'sse') session.sendChunk(drainBlock(env, drainMs));
    else session.send({ op: 'drain', withinMs: drainMs });
  }
  if (told.length > 0)
    logger.log('drain.step', { count: told.length, message: `${told.length} sessions were told to move` });
  while (remote().length > 0 && env.monotonicMs() - beganMs < drainMs) {
    await new Promise<void>((resolve) => env.setTimer(Math.min(LOOK_MS, drainMs), resolve));
  }
  const left = remote();
  await hub.drained();
  for (const session of left) commands.replies.close(session, 'going_away', 'the server is stopping');
  logger.log('drain.step', {
    count: told.length - left.length,
    durationMs: Math.round(env.monotonicMs() - beganMs),
    message: `${told.length - left.length} sessions moved by themselves, ${left.length} were closed`,
  });
}
