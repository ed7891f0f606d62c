/** What RabbitMQ, TLS and the network say when a connection or a command fails, in words for an operator. */
import { BrokerError } from '../broker/broker-port.ts';
import { hostText, type RabbitmqAddress, type RabbitmqHost } from './rabbitmq-address.ts';

/** The numbers with which RabbitMQ refuses a command (AMQP 0-9-1). */
const NOT_FOUND = 404;
const RESOURCE_LOCKED = 405;
const ACCESS_REFUSED = 403;
const PRECONDITION_FAILED = 406;

const certificateCodes = /^(ERR_TLS_|CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|HOSTNAME_MISMATCH|INVALID_CA)/;

export function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}

/** True where a queue is not there: not where its node is away, which RabbitMQ calls by the same number. */
export function isGone(error: unknown): boolean {
  return error instanceof Error && codeOf(error) === NOT_FOUND && error.message.includes('no queue ');
}

export function isLocked(error: unknown): boolean {
  return codeOf(error) === RESOURCE_LOCKED;
}

/** What the server takes at most, where an error says that a message was larger (`max_message_size`). */
export function bytesMaxIn(error: unknown): number | undefined {
  if (!(error instanceof Error) || codeOf(error) !== PRECONDITION_FAILED) return undefined;
  const [, bytes] = /message size \d+ is larger than (?:configured )?max size (\d+)/.exec(error.message) ?? [];
  return bytes === undefined ? undefined : Number(bytes);
}

/** Why no connection could be opened. */
export function connectFailure(
  cause: unknown,
  { place, user, vhost }: RabbitmqAddress,
  member: RabbitmqHost,
): BrokerError {
  const at = hostText(member);
  const said = cause instanceof Error ? cause.message : String(cause);
  const code = codeOf(cause);
  const final = (message: string): BrokerError => new BrokerError(message, { isFinal: true, cause });
  const passing = (message: string): BrokerError => new BrokerError(message, { isFinal: false, cause });
  if (/ACCESS[_-]REFUSED/.test(said)) return final(`RabbitMQ at ${place} refuses the user "${user}" or its password`);
  // The client keeps RabbitMQ's reason for itself.
  if (said.includes('Expected ConnectionOpenOk; got <ConnectionClose')) {
    const why = 'it is not there, or not for this user';
    return final(`RabbitMQ at ${place} does not let the user "${user}" into the virtual host "${vhost}": ${why}`);
  }
  if (typeof code === 'string' && certificateCodes.test(code)) {
    const isOther = code === 'ERR_TLS_CERT_ALTNAME_INVALID';
    const hint = isOther ? 'it is for another name' : 'name the authority that signed it with ca=FILE';
    return final(`the certificate of ${at} is not trusted (${code}: ${said}); ${hint}`);
  }
  if (/EPROTO|wrong version number|SSL routines/.test(`${String(code)} ${said}`)) {
    return final(`${at} does not speak TLS as it should, or refuses our certificate (${said})`);
  }
  if (said.endsWith('ETIMEDOUT') || code === 'ETIMEDOUT') {
    return passing(`${at} said nothing in time: no RabbitMQ, or one that hangs`);
  }
  if (code === 'ECONNREFUSED') return passing(`nobody listens on ${at}: is RabbitMQ running?`);
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return passing(`the host ${member.host} was not found (${code})`);
  if (/CONNECTION[_-]FORCED/.test(said)) return passing(`RabbitMQ at ${place} is shutting down`);
  if (/Socket closed abruptly|ECONNRESET|Invalid frame|Frame size|Frame on channel|Expected /.test(said)) {
    return passing(`what listens on ${at} hung up or does not speak AMQP 0-9-1 (${said}): is it RabbitMQ?`);
  }
  return passing(`RabbitMQ at ${place} cannot be reached: ${said}`);
}

/** Why a command failed; `what` says what was tried. */
export function commandFailure(cause: unknown, what: string, { place, user }: RabbitmqAddress): Error {
  if (cause instanceof BrokerError) return cause;
  const said = cause instanceof Error ? cause.message : String(cause);
  const code = codeOf(cause);
  // A member whose replica is not up yet says PRECONDITION_FAILED, too.
  const isOther = code === PRECONDITION_FAILED && said.includes('inequivalent arg');
  const isFinal = code === ACCESS_REFUSED || isOther;
  const who =
    code === ACCESS_REFUSED ? `the user "${user}" is not allowed to ${what}` : `it was not possible to ${what}`;
  return new BrokerError(`RabbitMQ at ${place}: ${who} (${said})`, { isFinal, cause });
}
