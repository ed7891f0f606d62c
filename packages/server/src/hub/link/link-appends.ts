/**
 * The appends of the process at the other end of a link. Behind one that was refused and may come again nothing of its
 * channel is taken until that process has heard of it (APP-3).
 */
import type { LinkFrame } from '../../view/remote/link-frames.ts';
import type { ChannelBackbones } from '../channel-backbones.ts';
import type { Appended, NewRecord } from '../record-appender.ts';
import { withRetry, type Refusal } from '../refusal.ts';
import type { LinkReplies } from './link-replies.ts';

export class LinkAppends {
  readonly #backbones: ChannelBackbones;
  readonly #replies: LinkReplies;
  /** By channel: what was refused and may come again. */
  readonly #refused = new Map<string, Pick<Refusal, 'code' | 'message'>>();

  constructor(backbones: ChannelBackbones, replies: LinkReplies) {
    this.#backbones = backbones;
    this.#replies = replies;
  }

  store(frame: LinkFrame, body: Pick<NewRecord, 'payload' | 'encoding'>): void {
    const { op: _, id, restart, ...header } = frame;
    const record = { ...header, ...body } as NewRecord;
    const { channel, user, rid } = record;
    const answer = (result: Appended): void => {
      if (result.state === 'ok')
        return this.#replies.ok(id, { cursor: result.cursor, ...(result.duplicate && { duplicate: true }) });
      if (result.retryMs !== undefined) this.#refused.set(channel, { code: result.code, message: result.message });
      this.#replies.error(id, result);
    };
    const refused = this.#refused.get(channel);
    if (refused !== undefined && restart !== true) return answer({ state: 'error', ...withRetry(refused) });
    this.#refused.delete(channel);
    this.#backbones.appender(channel).submit({ channel, user, rid }, () => record, answer);
  }

  /** The process has heard of what was refused in this channel. */
  restart(channel: string): void {
    this.#refused.delete(channel);
  }

  /** Answers where a record of this id is, if it is known. */
  recall(frame: LinkFrame): void {
    const { id, channel = '' } = frame;
    const recalled = { channel, user: frame['user'] as string | undefined, rid: frame['rid'] as string };
    this.#backbones.appender(channel).submit(
      recalled,
      () => UNKNOWN,
      (result) => {
        if (result.state === 'ok') this.#replies.ok(id, { cursor: result.cursor, duplicate: true });
        else if (result.code === UNKNOWN.code) this.#replies.ok(id, {});
        else this.#replies.error(id, result);
      },
    );
  }
}

/** Says that no record of this id is known. */
const UNKNOWN: Refusal = { code: 'not_found', message: 'no record of this id is known' };
