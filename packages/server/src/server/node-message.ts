/**
 * What nodes say to each other through the log's signals (log.ts): a header line of JSON, a line feed, and for a signal
 * its payload. Bytes that are none of these are `undefined`: a newer node may say more.
 */
import { parseChannelName } from '@tideway/protocol';
import type { SentSignal } from '../hub/signal.ts';

const LF = 0x0a;

export type NodeMessage =
  /** I am here; `bye` is the last one. */
  | {
      readonly say: 'here' | 'bye';
      readonly node: string;
      readonly version: string;
      readonly sessions: number;
      /** Of the key that it signs tickets with; nodes of before do not say it. */
      readonly ticketKeyMark: string | undefined;
    }
  /** Whoever has sessions of this user ends them, and tells the node that asks how many there were. */
  | { readonly say: 'disconnect'; readonly node: string; readonly user: string; readonly ask: string }
  | { readonly say: 'disconnected'; readonly node: string; readonly ask: string; readonly sessions: number }
  /** A client's signal for the followers of a channel on all nodes. */
  | (SentSignal & { readonly say: 'signal'; readonly node: string });

export function encodeNodeMessage(message: NodeMessage): Buffer {
  if (message.say !== 'signal') return Buffer.from(`${JSON.stringify(message)}\n`);
  const { payload, ...header } = message;
  return Buffer.concat([Buffer.from(`${JSON.stringify(header)}\n`), payload]);
}

export function decodeNodeMessage(bytes: Buffer): NodeMessage | undefined {
  const end = bytes.indexOf(LF);
  if (end < 0) return undefined;
  let header: Record<string, unknown>;
  try {
    const parsed: unknown = JSON.parse(bytes.toString('utf8', 0, end));
    if (typeof parsed !== 'object' || parsed === null) return undefined;
    header = parsed as Record<string, unknown>;
  } catch {
    return undefined;
  }
  const node = text(header['node']);
  if (node === undefined || node === '') return undefined;
  switch (header['say']) {
    case 'here':
    case 'bye': {
      const version = text(header['version']);
      const sessions = number(header['sessions']);
      if (version === undefined || sessions === undefined) return undefined;
      return { say: header['say'], node, version, sessions, ticketKeyMark: text(header['ticketKeyMark']) };
    }
    case 'disconnect': {
      const user = text(header['user']);
      return user === undefined ? undefined : { say: 'disconnect', node, user, ask: text(header['ask']) ?? '' };
    }
    case 'disconnected': {
      const ask = text(header['ask']);
      const sessions = number(header['sessions']);
      return ask === undefined || sessions === undefined ? undefined : { say: 'disconnected', node, ask, sessions };
    }
    case 'signal': {
      const channel = text(header['channel']);
      const encoding = header['encoding'];
      if (channel === undefined || parseChannelName(channel) === undefined) return undefined;
      if (encoding !== 'json' && encoding !== 'bytes') return undefined;
      return {
        say: 'signal',
        node,
        channel,
        user: text(header['user']),
        instance: text(header['instance']) ?? '',
        key: text(header['key']),
        to: text(header['to']),
        encoding,
        payload: bytes.subarray(end + 1),
      };
    }
    default:
      return undefined;
  }
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function number(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
}
