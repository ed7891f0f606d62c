/** What clients do, as numbers: who follows what, and how much is appended. */

export interface Workload {
  readonly connections: number;
  readonly channels: number;
  /** The n-th channel has as many followers, and gets as many appends, as 1 / n^exponent; 0: all alike. */
  readonly exponent: number;
  /** Each connection follows so many. */
  readonly follows: number;
  readonly appendsPerSecond: number;
  /** Appends come so many at a time, on one connection. */
  readonly burst: number;
  /** They come at fixed times and the channels take turns, as in the bench; otherwise at random. */
  readonly isPaced?: boolean;
  readonly payloadBytes: number;
}

/** Followers of the channel that an append goes to, on average: those of popular channels count as often as they get one. */
export function followersPerAppend(workload: Workload): number {
  const { connections, channels, exponent, follows } = workload;
  let [sum, squares] = [0, 0];
  for (let n = 1; n <= channels; n++) {
    const weight = n ** -exponent;
    sum += weight;
    squares += weight * weight;
  }
  return (connections * follows * squares) / (sum * sum);
}
