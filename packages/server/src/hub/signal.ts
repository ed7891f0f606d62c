/** Signals: handed to who follows the channel here and now, never stored. */
import type { PayloadKind } from '@tideway/protocol';
import type { LiveChannel } from './live-channel.ts';

/** A signal that was checked, with what its receivers are told of its sender. */
export interface SentSignal {
  readonly channel: string;
  readonly user: string | undefined;
  /** The sender's application object, which does not get its own signal; empty: none. */
  readonly instance: string;
  readonly key: string | undefined;
  /** The one user it is for. */
  readonly to: string | undefined;
  readonly encoding: PayloadKind;
  readonly payload: Buffer;
}

/** Sends it to the channel's followers; returns to how many. */
export function handOutSignal(live: LiveChannel, { channel, user, instance, key, to, ...signal }: SentSignal): number {
  const frame = {
    op: 'signal',
    channel,
    ...(user === undefined ? {} : { user }),
    ...(key === undefined ? {} : { key }),
  } as const;
  const payload = { encoding: signal.encoding, bytes: signal.payload };
  let count = 0;
  for (const { session } of [...live.liveSubscriptions, ...live.joining]) {
    const receiver = session.identity?.user;
    if (to !== undefined && receiver !== to) continue;
    if (instance !== '' && session.instance === instance && receiver === user) continue;
    session.sendIfRoom(frame, payload);
    count++;
  }
  return count;
}
