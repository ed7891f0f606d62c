/**
 * A keyed 64-bit hash of a few texts: HalfSipHash-1-3 over their UTF-16 units. Clients choose rids and keys, so the
 * hash is keyed with a secret: nobody can make a rid of his that stands for somebody else's.
 */

/** 64 secret bits, as two 32-bit numbers. */
export type HashKey = readonly [number, number];

export class KeyedHash {
  readonly #key: HashKey;
  readonly #state = new Int32Array(4);
  /** The 64 bits of the last `of`, low and high. */
  low = 0;
  high = 0;

  constructor(key: HashKey) {
    this.#key = key;
  }

  /**
   * Hashes a domain (so that a rid never meets a key) and up to three texts into `low` and `high`. Each text is
   * followed by its length plus one, an absent one by zero, so different lists of texts never read alike.
   */
  of(domain: number, first: string, second?: string, third?: string): void {
    const state = this.#state;
    const [k0, k1] = this.#key;
    state[0] = k0;
    state[1] = k1 ^ 0xee;
    state[2] = 0x6c796765 ^ k0;
    state[3] = 0x74656462 ^ k1;
    absorb(state, first);
    absorb(state, second);
    absorb(state, third);
    rounds(state, domain, 1);
    state[2] = state[2] ^ 0xee;
    rounds(state, 0, 3);
    this.low = (state[1] ^ state[3]) >>> 0;
    state[1] = state[1] ^ 0xdd;
    rounds(state, 0, 3);
    this.high = (state[1] ^ state[3]) >>> 0;
  }
}

function absorb(state: Int32Array, text: string | undefined): void {
  if (text === undefined) return rounds(state, 0, 1);
  let v0 = state[0] as number;
  let v1 = state[1] as number;
  let v2 = state[2] as number;
  let v3 = state[3] as number;
  const length = text.length;
  for (let i = 0; i < length; i += 2) {
    const word = text.charCodeAt(i) | (i + 1 < length ? text.charCodeAt(i + 1) << 16 : 0);
    v3 ^= word;
    v0 = (v0 + v1) | 0;
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
    v0 = (v0 << 16) | (v0 >>> 16);
    v2 = (v2 + v3) | 0;
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
    v2 = (v2 << 16) | (v2 >>> 16);
    v0 ^= word;
  }
  state[0] = v0;
  state[1] = v1;
  state[2] = v2;
  state[3] = v3;
  rounds(state, length + 1, 1);
}

/** SipRounds with one word around them. */
function rounds(state: Int32Array, word: number, count: number): void {
  let v0 = state[0] as number;
  let v1 = state[1] as number;
  let v2 = state[2] as number;
  let v3 = (state[3] as number) ^ word;
  for (let i = 0; i < count; i++) {
    v0 = (v0 + v1) | 0;
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
    v0 = (v0 << 16) | (v0 >>> 16);
    v2 = (v2 + v3) | 0;
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
    v2 = (v2 << 16) | (v2 >>> 16);
  }
  state[0] = v0 ^ word;
  state[1] = v1;
  state[2] = v2;
  state[3] = v3;
}
