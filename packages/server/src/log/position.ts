/** Positions of logs that count their records 1, 2, 3 …: between the number and its wire form (PROTOCOL.md CUR-3). */
import { decodePosition } from '@tideway/protocol';
import type { Position } from './log.ts';

export { encodePositionNumber as positionOf } from '@tideway/protocol';

/** The number of a position. Throws a RangeError for text that no such log gave out. */
export function positionNumber(position: Position): number {
  const numbers = decodePosition(position);
  const number = numbers?.length === 1 ? Number(numbers[0]) : Number.NaN;
  if (!Number.isSafeInteger(number))
    throw new RangeError(`"${position}" is no position of this log: one number, 0 … 2^53 − 1`);
  return number;
}
