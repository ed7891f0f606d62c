/**
 * Positions and tags as numbers, for tables that hold a million of them. Only for logs that count their records with
 * one number below 2^53, as the embedded log and the memory log do.
 */
import type { Position, Tag } from '../log/log.ts';

const DIGITS = '-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz';
const DIGIT_OF = new Uint8Array(128);
for (let i = 0; i < 64; i++) DIGIT_OF[DIGITS.charCodeAt(i)] = i;

/** The number a position stands for (PROTOCOL.md CUR-3); the text is trusted to be one well-formed number. */
export function positionNumber(position: Position): number {
  let value = 0;
  for (let i = 1; i < position.length; i++) value = value * 64 + (DIGIT_OF[position.charCodeAt(i)] as number);
  return value;
}

/** A tag's four digits as 24 bits. */
export function tagNumber(tag: Tag): number {
  return (
    ((DIGIT_OF[tag.charCodeAt(0)] as number) << 18) |
    ((DIGIT_OF[tag.charCodeAt(1)] as number) << 12) |
    ((DIGIT_OF[tag.charCodeAt(2)] as number) << 6) |
    (DIGIT_OF[tag.charCodeAt(3)] as number)
  );
}

/** The tag of 24 bits, the two unknown ones included. */
export function tagText(value: number): Tag {
  return (
    (DIGITS[(value >>> 18) & 63] as string) +
    (DIGITS[(value >>> 12) & 63] as string) +
    (DIGITS[(value >>> 6) & 63] as string) +
    (DIGITS[value & 63] as string)
  );
}

/** The position of a cursor (or place) that this node made: 6 of epoch and a dot before it, a dot and 4 of tag behind. */
export function positionOf(cursor: string): Position {
  return cursor.slice(7, -5);
}

/** The tag of a cursor that this node made. */
export function tagOf(cursor: string): Tag {
  return cursor.slice(-4);
}
