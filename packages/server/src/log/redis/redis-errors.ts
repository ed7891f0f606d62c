/** What Redis, its client and the network say when something is wrong, in words an operator can act on. */
import { BrokerError } from '../broker/broker-port.ts';

/** An error that Redis itself answered: the command was not carried out. */
export class RedisReplyError extends Error {
  /** Its first word: `OOM`, `READONLY`, `NOGROUP` … */
  readonly kind: string;
  /** Until somebody acts. */
  readonly isFinal: boolean;

  constructor(kind: string, message: string, isFinal = false) {
    super(message);
    this.name = 'RedisReplyError';
    this.kind = kind;
    this.isFinal = isFinal;
  }
}

const replies: Readonly<Record<string, string>> = {
  OOM: 'Redis has reached its maxmemory and takes no more records; give it more, or keep less',
  READONLY: 'this Redis is a read-only replica; the address must lead to the primary',
  MISCONF: 'Redis cannot write its files to its disk and takes no records until it can',
  NOREPLICAS: 'Redis has fewer replicas than its min-replicas-to-write and takes no records until they are back',
  NOPERM: 'the user of the address lacks a permission on Redis',
  NOAUTH: 'Redis asks for a password; write redis://user:password@host or redis://:password@host',
  WRONGPASS: 'Redis refuses this user or password',
  WRONGTYPE: 'a key of this log holds something else; another program uses the same name in this Redis',
  NOGROUP: 'the stream was deleted, emptied or made again: it is another life of this partition',
  LOADING: 'Redis is still loading its data',
  BUSY: 'Redis is held up by a script of somebody else',
  CLUSTERDOWN: 'the Redis Cluster has no primary for this partition at the moment',
  MOVED: 'the partition moved to another node of the Redis Cluster',
  ASK: 'the partition is being moved to another node of the Redis Cluster',
  TRYAGAIN: 'the partition is being moved to another node of the Redis Cluster',
  MASTERDOWN: 'this Redis is a replica that lost its primary',
  UNBLOCKED: 'this Redis became a replica',
  UNKILLABLE: 'Redis is held up by a script of somebody else',
};

/** Those that stay until somebody acts. */
const finalReplies = ['WRONGPASS', 'NOAUTH', 'NOPERM', 'WRONGTYPE'];

/** By parts of a message, where its first word says nothing. */
const finalLongReplies: readonly (readonly [RegExp, string])[] = [
  [/without any password configured|no password is set/, 'this Redis asks for no password, but the address gives one'],
  [/DB index is out of range/, 'this Redis has no such database; see database= in the address'],
  [/SELECT is not allowed in cluster mode/, 'a Redis Cluster has only database 0'],
];
const longReplies: readonly (readonly [RegExp, string])[] = [
  [
    /equal or smaller than the target stream top item/,
    'somebody added an entry with an id of his own to the stream of this partition; records are added with the id 0-*',
  ],
  [/max number of clients reached/, 'Redis has as many clients as its maxclients allows'],
];

/** An error reply of Redis in words; `undefined` when it is none. */
export function replyErrorOf(error: unknown): RedisReplyError | undefined {
  if (error instanceof RedisReplyError) return error;
  if (!(error instanceof Error) || error.name !== 'ReplyError') return undefined;
  // A script adds its own name and line.
  const text = error.message.replace(/ script: [0-9a-f]{40}, on @user_script:\d+\.?$/, '');
  const kind = /^-?([A-Z]+)\b/.exec(text)?.[1] ?? 'ERR';
  const long = finalLongReplies.find(([pattern]) => pattern.test(text));
  const isFinal = finalReplies.includes(kind) || long !== undefined;
  const words = replies[kind] ?? (long ?? longReplies.find(([pattern]) => pattern.test(text)))?.[1];
  // A message of Redis names commands and keys, never a value or a password.
  return new RedisReplyError(kind, words === undefined ? `Redis answers: ${text}` : `${words} (${text})`, isFinal);
}

const networkErrors: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there',
  ENOTFOUND: 'there is no such host',
  EAI_AGAIN: 'the name of the host cannot be looked up now',
  ETIMEDOUT: 'it does not answer',
  EHOSTUNREACH: 'there is no way to that host',
  ENETUNREACH: 'there is no way to that network',
  ECONNRESET: 'the connection was cut',
  EPIPE: 'the connection was cut',
};

const UNKNOWN_AUTHORITY = 'its authority is not known here; ca=FILE in the address names what to trust';
const certificateErrors: Readonly<Record<string, string>> = {
  DEPTH_ZERO_SELF_SIGNED_CERT: 'it is signed by itself; ca=FILE in the address names what to trust',
  SELF_SIGNED_CERT_IN_CHAIN: UNKNOWN_AUTHORITY,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNKNOWN_AUTHORITY,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNKNOWN_AUTHORITY,
  UNABLE_TO_GET_ISSUER_CERT: UNKNOWN_AUTHORITY,
  CERT_HAS_EXPIRED: 'it has expired',
  CERT_NOT_YET_VALID: 'it is not valid yet',
  ERR_TLS_CERT_ALTNAME_INVALID: 'it is for another host',
};

/**
 * Why there is no connection, or no more.
 *
 * @param spoken how it was spoken to, where it never answered a word
 */
export function connectionError(where: string, error: unknown, spoken?: 'plain' | 'TLS'): BrokerError {
  if (error instanceof BrokerError) return error;
  const reply = replyErrorOf(error);
  const { words, isFinal } =
    reply === undefined ? networkWords(error, spoken) : { words: reply.message, isFinal: reply.isFinal };
  return new BrokerError(`${where}: ${words}`, { isFinal, cause: error });
}

/** Whether trying again changes nothing until somebody acts. */
export function isFinalError(error: unknown): boolean {
  return (error instanceof BrokerError || error instanceof RedisReplyError) && error.isFinal;
}

const hints = {
  plain: '; where it speaks TLS only, write rediss://',
  TLS: '; where it does not speak TLS, write redis://',
} as const;
/** What becomes of a client that speaks otherwise than a Redis expects. */
const silence = { plain: 'ECONNRESET', TLS: 'ETIMEDOUT' } as const;

function networkWords(error: unknown, spoken: 'plain' | 'TLS' | undefined): { words: string; isFinal: boolean } {
  const { message } = error as Error;
  const given = (error as { code?: unknown }).code;
  const code = typeof given === 'string' ? given : '';
  const passing = (words: string): { words: string; isFinal: boolean } => ({ words, isFinal: false });
  const final = (words: string): { words: string; isFinal: boolean } => ({ words, isFinal: true });
  const hint = spoken === undefined ? '' : hints[spoken];
  const network = networkErrors[code];
  if (network !== undefined) return passing(`${network} (${code})${code === silence[spoken ?? 'plain'] ? hint : ''}`);
  const certificate = certificateErrors[code];
  if (certificate !== undefined) {
    return final(`its certificate is not accepted: ${certificate} (${code})`);
  }
  if (/^ERR_SSL_.*(WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG)/.test(code)) {
    return final(`it does not speak TLS; write redis:// (${code})`);
  }
  if (/certificate.required|bad.certificate/i.test(code + message)) {
    return final(`it wants a certificate of the client, see cert= and key= (${code})`);
  }
  if (code.startsWith('ERR_SSL_')) return final(`TLS failed (${code})`);
  if (/^(Protocol error|Unknown RESP type)/.test(message)) return final('it answers, but not as Redis does');
  if (message.startsWith('Command timed out')) return passing('it accepts connections but does not answer');
  if (message.startsWith('Connection is closed')) {
    return passing(`it closed the connection${hint}`);
  }
  return passing(code === '' ? message : `${message} (${code})`);
}
