/** A course of prices as the points of a line. */

export interface Frame {
  readonly width: number;
  readonly height: number;
}

/** `x,y` for each price, oldest at the left edge, newest at the right, lowest at the bottom. */
export function coursePoints(prices: readonly number[], { width, height }: Frame): string[] {
  const low = Math.min(...prices);
  const span = Math.max(...prices) - low || 1;
  const step = width / Math.max(1, prices.length - 1);
  return prices.map((price, index) => {
    const y = height - 2 - ((price - low) / span) * (height - 4);
    return `${round(index * step)},${round(y)}`;
  });
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
