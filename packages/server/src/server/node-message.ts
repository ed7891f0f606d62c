/**
 * What nodes say to each other through the log's signals (log.ts): a header line of JSON, a line feed, and for signals
 * and calls a payload. Bytes that are none of these are `undefined`: a newer node may say more.
 */
import { isCode, isMethod, parseChannelName, type PayloadKind } from '@tideway/protocol';
import { parseToldIdentity } from '../auth/told-identity.ts';
import type { Call, CallResult } from '../hub/call.ts';
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
      /** Those that it serves; nodes of before do not say it. */
      readonly methods: readonly string[];
    }
  /** Whoever has sessions of this user ends them, and tells the node that asks how many there were. */
  | { readonly say: 'disconnect'; readonly node: string; readonly user: string; readonly ask: string }
  | { readonly say: 'disconnected'; readonly node: string; readonly ask: string; readonly sessions: number }
  /** A call for the one node that it is said to, which answers; `give-up`: nobody waits for that any more. */
  | (Call & { readonly say: 'call'; readonly node: string; readonly ask: string })
  | { readonly say: 'called'; readonly node: string; readonly ask: string; readonly result: CallResult }
  | { readonly say: 'give-up'; readonly node: string; readonly ask: string }
  /** A client's signal for the followers of a channel on all nodes. */
  | (SentSignal & { readonly say: 'signal'; readonly node: string });

export function encodeNodeMessage(message: NodeMessage): Buffer {
  switch (message.say) {
    case 'signal':
    case 'call': {
      const { payload, ...header } = message;
      return encode(header, payload);
    }
    case 'called': {
      const { result, ...header } = message;
      if ('code' in result) return encode({ ...header, refusal: result });
      return encode({ ...header, encoding: result.encoding }, result.payload);
    }
    default:
      return encode(message);
  }
}

function encode(header: object, payload?: Buffer): Buffer {
  const line = Buffer.from(`${JSON.stringify(header)}\n`);
  return payload === undefined ? line : Buffer.concat([line, payload]);
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
      const methods = Array.isArray(header['methods']) ? header['methods'].filter(isMethod) : [];
      return { say: header['say'], node, version, sessions, ticketKeyMark: text(header['ticketKeyMark']), methods };
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
    case 'call': {
      const { method } = header;
      const ask = text(header['ask']);
      const identity = parseToldIdentity(header['identity']);
      const encoding = kind(header['encoding']);
      if (ask === undefined || identity === undefined || encoding === undefined || !isMethod(method)) return undefined;
      return { say: 'call', node, ask, method, identity, encoding, payload: bytes.subarray(end + 1) };
    }
    case 'called': {
      const ask = text(header['ask']);
      const result = resultOf(header, bytes.subarray(end + 1));
      return ask === undefined || result === undefined ? undefined : { say: 'called', node, ask, result };
    }
    case 'give-up': {
      const ask = text(header['ask']);
      return ask === undefined ? undefined : { say: 'give-up', node, ask };
    }
    case 'signal': {
      const channel = text(header['channel']);
      const encoding = kind(header['encoding']);
      if (channel === undefined || parseChannelName(channel) === undefined) return undefined;
      if (encoding === undefined) return undefined;
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

function resultOf(header: Readonly<Record<string, unknown>>, payload: Buffer): CallResult | undefined {
  const encoding = kind(header['encoding']);
  if (encoding !== undefined) return { encoding, payload };
  const { code, message, retryMs } = (header['refusal'] ?? {}) as Readonly<Record<string, unknown>>;
  if (typeof code !== 'string' || !isCode(code) || typeof message !== 'string') return undefined;
  return { code, message, ...(typeof retryMs === 'number' && { retryMs }) };
}

function kind(value: unknown): PayloadKind | undefined {
  return value === 'json' || value === 'bytes' ? value : undefined;
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function number(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
}
