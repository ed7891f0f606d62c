/**
 * 64-bit FNV-1a in two 32-bit halves: one number for what a reader saw, in its order. Plain arithmetic, so that a page,
 * a command line and a torture run compute the same figure.
 */

/** 2^40 + 435 is the 64-bit FNV prime; the multiplication below is that sum taken apart. */
const PRIME_LOW = 435;
const WORD = 2 ** 32;
const utf8 = new TextEncoder();

function hex(word: number): string {
  return word.toString(16).padStart(8, '0');
}

/** A running hash: the same pieces in the same order give the same `digest`. */
export class OrderHash {
  #high = 0xcbf29ce4;
  #low = 0x84222325;

  /** Takes bytes, or a text's UTF-8 bytes, into the hash. */
  update(piece: string | Uint8Array): this {
    const bytes = typeof piece === 'string' ? utf8.encode(piece) : piece;
    let high = this.#high;
    let low = this.#low;
    for (let i = 0; i < bytes.length; i++) {
      low = (low ^ (bytes[i] as number)) >>> 0;
      const product = low * PRIME_LOW;
      // At most 2^32 · 435 + 2^10 + 2^40: exact in a double.
      high = (high * PRIME_LOW + Math.floor(product / WORD) + low * 256) % WORD;
      low = product % WORD;
    }
    this.#high = high;
    this.#low = low;
    return this;
  }

  /** 16 hexadecimal digits. */
  get digest(): string {
    return hex(this.#high) + hex(this.#low);
  }
}

/** The hash of one payload: a text as it was sent, `JSON.stringify` of parsed data where its writer sent just that, or bytes. */
export function hashData(data: string | Uint8Array): string {
  return new OrderHash().update(data).digest;
}
