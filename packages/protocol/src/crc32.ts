/**
 * CRC-32 (IEEE 802.3, reflected polynomial 0xEDB88320): the checksum behind a cursor's tag (CUR-4).
 * The server uses its runtime's own; this one serves browsers, the verifier and the vectors.
 */

let table: Uint32Array | undefined;

/** Made at first use, so that importing this package does nothing. */
function makeTable(): Uint32Array {
  const made = new Uint32Array(256);
  for (let n = 0; n < 256; n++) {
    let c = n;
    for (let k = 0; k < 8; k++) c = (c & 1) === 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1;
    made[n] = c >>> 0;
  }
  return made;
}

/** CRC-32 of the bytes as an unsigned 32-bit number; `seed` continues an earlier one. */
export function crc32(bytes: Uint8Array, seed = 0): number {
  table ??= makeTable();
  let c = ~seed;
  for (let i = 0; i < bytes.length; i++) c = (table[(c ^ (bytes[i] as number)) & 0xff] as number) ^ (c >>> 8);
  return ~c >>> 0;
}
