/** What `tail` prints: each item of a reading as a line for people, or as one JSON object. */
import type { ChannelItem, ChannelRecord } from '@tideway/client';
import { type Io, paint, print, printJson, say, visible } from './io.ts';

/** What is told besides records: the state of the connection. */
export type Notice =
  | { readonly type: 'following'; readonly channels: readonly string[]; readonly from: string; readonly url: string }
  | { readonly type: 'live'; readonly channel: string }
  | { readonly type: 'offline' }
  | { readonly type: 'reconnected'; readonly channel: string; readonly gaps: number; readonly ms: number };

export interface TailLines {
  item(channel: string, item: Exclude<ChannelItem, { readonly type: 'live' }>): Promise<void>;
  notice(notice: Notice): Promise<void>;
}

/** Everything is data for a program: one object a line, told apart by `type`. */
export function jsonLines(io: Io): TailLines {
  return {
    notice: (notice) => printJson(io, notice),
    item(_channel, item) {
      if (item.type === 'gap') return printJson(io, { type: 'gap', ...item.gap });
      const { data, ...header } = item.record;
      const payload = data instanceof Uint8Array ? { encoding: 'base64', data: base64(data) } : { data };
      const issues = item.type === 'invalid' ? { issues: item.issues } : {};
      return printJson(io, { type: item.type, ...header, ...payload, ...issues });
    },
  };
}

/** Records and gaps on stdout; how the connection fares on stderr. */
export function textLines(io: Io, hasManyChannels: boolean): TailLines {
  const grey = (text: string): string => paint(io, 'stdout', 'gray', text);
  const name = (channel: string): string => (hasManyChannels ? `${channel}  ` : '');

  function line({ channel, time, cursor, user, key, data }: ChannelRecord): string {
    const clock = time === undefined ? '            ' : new Date(time).toISOString().slice(11, 23);
    const who = user === undefined ? '' : `${paint(io, 'stdout', 'cyan', visible(user))}  `;
    const which = key === undefined ? '' : `[${visible(key)}]  `;
    const payload = data instanceof Uint8Array ? `base64 ${base64(data)}` : visible(JSON.stringify(data));
    return `${grey(clock)}  ${name(channel)}${grey(cursor)}  ${who}${which}${payload}`;
  }

  return {
    async item(channel, item) {
      switch (item.type) {
        case 'record':
          return print(io, line(item.record));
        case 'invalid':
          return print(io, `${line(item.record)}  ${paint(io, 'stdout', 'red', '— invalid —')}`);
        case 'gap': {
          const { reason, cursor } = item.gap;
          return print(
            io,
            `${name(channel)}${paint(io, 'stdout', 'yellow', `— gap: ${reason}; it goes on from ${cursor} —`)}`,
          );
        }
        default:
          return item satisfies never;
      }
    },
    async notice(notice) {
      say(io, paint(io, 'stderr', 'gray', `— ${describeNotice(notice, name)} —`));
    },
  };
}

function describeNotice(notice: Notice, name: (channel: string) => string): string {
  switch (notice.type) {
    case 'following':
      return `following ${notice.channels.join(', ')} from ${notice.from} on ${notice.url}`;
    case 'live':
      return `${name(notice.channel)}live`;
    case 'offline':
      return 'the connection is lost; reconnecting';
    case 'reconnected': {
      const { channel, gaps, ms } = notice;
      const missed = gaps === 0 ? 'resumed, 0 missed' : `with ${gaps} ${gaps === 1 ? 'gap' : 'gaps'}`;
      return `${name(channel)}reconnected, ${missed} (${ms.toLocaleString('en-US')} ms)`;
    }
    default:
      return notice satisfies never;
  }
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}
