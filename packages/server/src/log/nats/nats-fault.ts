/** What NATS and JetStream refuse: as numbers, in words, and whether trying again can help. */
import { BrokerError } from '../broker/broker-port.ts';

/** JetStream's own numbers of errors that this driver acts on. */
export const apiCodes = {
  streamNotFound: 10_059,
  streamNameInUse: 10_058,
  wrongLastSequence: 10_071,
  consumerNotFound: 10_014,
} as const;

/** Refusals that stay until somebody acts: not enabled for the account, no replicas without a cluster. */
const FINAL_CODES: readonly (number | undefined)[] = [10_039, 10_074];

/** A partition is not the one it was when the connection was made: its stream was removed, or made anew. */
export class PartitionGoneError extends Error {
  override name = 'PartitionGoneError';
}

/** The number of a refusal by JetStream's API; `undefined` for every other error. */
export function apiCodeOf(error: unknown): number | undefined {
  for (let one = error; one instanceof Error; one = one.cause) {
    if (!/^(JetStreamApi|StreamNotFound|ConsumerNotFound)Error$/.test(one.name)) continue;
    const { code } = one as { readonly code?: unknown };
    return typeof code === 'number' ? code : undefined;
  }
  return undefined;
}

/** What else is known where `connect` fails. */
export interface SettleFacts {
  /** It is a server alone, and has no JetStream. */
  readonly hasNoJetStream: boolean;
  /** Its time was over. */
  readonly isLate: boolean;
}

/** An error for `connect`: in words, with the place it is about. */
export function settleError(place: string, error: unknown, { hasNoJetStream, isLate }: SettleFacts): BrokerError {
  const say = (words: string, isFinal: boolean): BrokerError =>
    new BrokerError(`${place}: ${words}`, { isFinal, cause: error });
  if (error instanceof BrokerError) return say(error.message, error.isFinal);
  if (hasNoJetStream) return say('JetStream is not enabled there: start it with nats-server -js', true);
  if (isLate) return say('JetStream did not answer in time', false);
  const isDenied = causeNamed(error, 'PermissionViolationError') !== undefined;
  return say(apiFault(error), isDenied || FINAL_CODES.includes(apiCodeOf(error)));
}

/** The error, or one of its causes, that has this name. */
export function causeNamed(error: unknown, name: string): Error | undefined {
  for (let one = error; one instanceof Error; one = one.cause) if (one.name === name) return one;
  return undefined;
}

/** What went wrong when JetStream was asked for something, as the end of a sentence. */
export function apiFault(error: unknown): string {
  const denied = causeNamed(error, 'PermissionViolationError');
  if (denied !== undefined) return `this account may not do that (${denied.message})`;
  if (causeNamed(error, 'JetStreamNotEnabled') !== undefined || causeNamed(error, 'NoResponders') !== undefined) {
    return 'JetStream does not answer: it is not enabled there, or has no leader at the moment';
  }
  if (causeNamed(error, 'TimeoutError') !== undefined) return 'JetStream did not answer in time';
  return error instanceof Error ? error.message : String(error);
}
