/** What a failed call to Kafka was, by its number, and how it is said. Never with a credential or a payload. */
import { BrokerError } from '../broker/broker-port.ts';
import { TailError } from '../log.ts';
import type { KafkaLogin, KafkaTls } from './kafka-address.ts';
import type { Kafka } from './kafka-library.ts';

/** Numbers of Kafka's own errors that the driver tells apart. */
export const faults = {
  unknown: -1,
  offsetOutOfRange: 1,
  unknownTopicOrPartition: 3,
  leaderNotAvailable: 5,
  notLeader: 6,
  requestTimedOut: 7,
  brokerNotAvailable: 8,
  replicaNotAvailable: 9,
  tooLarge: 10,
  networkException: 13,
  listTooLarge: 18,
  notEnoughReplicas: 19,
  notEnoughReplicasAfterAppend: 20,
  topicForbidden: 29,
  clusterForbidden: 31,
  mechanismUnknown: 33,
  topicExists: 36,
  notController: 41,
  outOfOrderSequence: 45,
  duplicateSequence: 46,
  producerEpochOld: 47,
  storage: 56,
  loginFailed: 58,
  producerUnknown: 59,
  epochFenced: 74,
  epochUnknown: 75,
  offsetNotAvailable: 78,
  topicIdUnknown: 100,
  topicIdOther: 103,
} as const;

/** A leader was asked that is none (any more), or not yet: metadata are to be read again. */
export const leaderFaults: ReadonlySet<number> = new Set([
  faults.unknownTopicOrPartition,
  faults.leaderNotAvailable,
  faults.notLeader,
  faults.brokerNotAvailable,
  faults.replicaNotAvailable,
  faults.epochFenced,
  faults.epochUnknown,
  faults.offsetNotAvailable,
]);

/** A call that Kafka answered with an error of its own. */
export class KafkaFault extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.name = 'KafkaFault';
    this.code = code;
  }
}

/** The first of Kafka's numbers in an error of the client, which nests them. */
export function faultCode(error: unknown): number | undefined {
  if (error instanceof KafkaFault) return error.code;
  return find(error, (one) => ('apiCode' in one && typeof one.apiCode === 'number' ? one.apiCode : undefined));
}

/** Kafka's own words for one of its numbers. */
export function codeText({ protocolErrors }: Kafka, code: number): string {
  const known = Object.values(protocolErrors).find((one) => one.code === code);
  return known === undefined ? `Kafka's error ${code}` : `${known.message} (${known.id})`;
}

/** What the broker answered beside its errors, where the client throws both as one. */
export function responseOf(error: unknown): unknown {
  return error instanceof Error && 'response' in error ? error.response : undefined;
}

/** An error in words: ours as they are, else the innermost, since the outer ones only say that something failed. */
export function faultText(error: unknown): string {
  let text = String(error);
  find(error, (one) => {
    text = one.message;
    return one instanceof BrokerError || one instanceof TailError || one instanceof KafkaFault ? true : undefined;
  });
  return text;
}

/** Why a broker could not be reached or would not let this node in, in words that name what to change. */
export function connectError(error: unknown, tls: KafkaTls | undefined, login: KafkaLogin | undefined): BrokerError {
  const final = (message: string): BrokerError => new BrokerError(message, { isFinal: true, cause: error });
  const passing = (message: string): BrokerError => new BrokerError(message, { isFinal: false, cause: error });
  const code = faultCode(error);
  if (code === faults.mechanismUnknown) {
    return final(`it does not know the login mechanism ${login?.mechanism}; choose another with sasl=`);
  }
  if (error instanceof BrokerError) return error;
  const text = faultText(error);
  const isCut = /connection (closed|error)|ECONNRESET/i.test(text);
  if (/requires TLS/.test(text)) return final('it speaks TLS: write kafka+tls://');
  if (code === faults.loginFailed || (isNamed(error, 'PLT_KFK_AUTHENTICATION') && !isCut && !isTimeout(error))) {
    return final(`it refuses the user or the password (${login?.mechanism})`);
  }
  const system = find(error, (one) => ('code' in one && typeof one.code === 'string' ? one.code : undefined), true);
  if (tls !== undefined && (system?.startsWith('ERR_SSL_') === true || /before secure TLS connection/.test(text))) {
    return final(`no TLS connection comes about (${text}): it may not speak TLS on this port`);
  }
  if (tls !== undefined && system !== undefined && /CERT|SELF_SIGNED|ALTNAME|ISSUER/.test(system)) {
    return final(`its certificate is not trusted (${text}); name the one to trust with ca=`);
  }
  if (system === 'ECONNREFUSED') return passing('nobody listens there');
  if (system === 'ENOTFOUND' || system === 'EAI_AGAIN') return passing('no such host');
  if (isTimeout(error)) return passing('it does not answer');
  if (isCut || system === 'ECONNRESET') {
    const wants = [...(login === undefined ? ['a login'] : []), ...(tls === undefined ? ['TLS'] : [])];
    const hint = wants.length === 0 ? 'it may not be Kafka' : `it may want ${wants.join(' or ')}, or not be Kafka`;
    return passing(`it ended the connection: ${hint}`);
  }
  return passing(text);
}

/** The answer did not come. */
export function isTimeout(error: unknown): boolean {
  return /timed out|does not answer/i.test(faultText(error));
}

function isNamed(error: unknown, code: string): boolean {
  return find(error, (one) => ('code' in one && one.code === code ? true : undefined)) === true;
}

/** Walks an error and those inside it, outermost first; with `last`, the innermost answer counts. */
function find<T>(error: unknown, look: (one: Error) => T | undefined, last = false): T | undefined {
  let found: T | undefined;
  const seen = new Set<unknown>();
  const walk = (one: unknown): boolean => {
    if (!(one instanceof Error) || seen.has(one)) return false;
    seen.add(one);
    found = look(one) ?? found;
    if (found !== undefined && !last) return true;
    const inner: unknown[] = 'errors' in one && Array.isArray(one.errors) ? one.errors : [];
    return walk(one.cause) || inner.some((next) => walk(next));
  };
  walk(error);
  return found;
}
