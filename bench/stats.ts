/**
 * The arithmetic of the bench: medians with their spread over pairs, and ratios taken pair by pair, so that what
 * disturbed the machine during one pair disturbs both sides of its ratio.
 */

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** @throws a RangeError for an empty list: there is no median of nothing */
export function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}

/** The value at `share` (0–1) of the sorted list, between neighbours in proportion. */
export function percentile(values: readonly number[], share: number): number {
  if (values.length === 0) throw new RangeError('no values to take a percentile of');
  const sorted = [...values].sort((a, b) => a - b);
  const at = share * (sorted.length - 1);
  const below = sorted[Math.floor(at)]!;
  const above = sorted[Math.ceil(at)]!;
  return below + (above - below) * (at - Math.floor(at));
}

export function spreadOf(values: readonly number[]): Spread {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) };
}

/** One ratio per pair; pairs that only one side has are left out. */
export function ratios(above: readonly number[], below: readonly number[]): number[] {
  return above.slice(0, below.length).map((value, pair) => value / below[pair]!);
}

/** Three significant digits, without exponent: 0.712, 12.6, 1,290, 52,100. */
export function shown(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  return value.toLocaleString('en-US', { maximumSignificantDigits: Math.abs(value) >= 1_000 ? 4 : 3 });
}
