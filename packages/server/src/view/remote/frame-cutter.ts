/** Cuts a stream of bytes into whole WebSocket messages (unmasked, one frame each), however they arrive. */
import { frameLength } from '../frame.ts';

/** The longest head of a frame: 2 bytes and a length of 8. */
const HEAD_BYTES_MAX = 10;

export class FrameCutter {
  #parts: Buffer[] = [];
  #bytes = 0;
  /** Nothing can be cut before so many are here. */
  #needed = 0;

  /** Takes what was read; calls back with each whole message, a view into what was read. */
  take(chunk: Buffer, onMessage: (message: Buffer) => void): void {
    this.#parts.push(chunk);
    this.#bytes += chunk.length;
    if (this.#bytes < this.#needed) return;
    const all = this.#parts.length === 1 ? chunk : Buffer.concat(this.#parts, this.#bytes);
    let at = 0;
    this.#needed = 0;
    while (at < all.length) {
      const left = all.length - at;
      const length = isHeadWhole(all, at, left) ? frameLength(all, at) : left + 1;
      if (length > left) {
        this.#needed = length;
        break;
      }
      onMessage(all.subarray(at, at + length));
      at += length;
    }
    this.#parts = at < all.length ? [all.subarray(at)] : [];
    this.#bytes = all.length - at;
  }
}

function isHeadWhole(bytes: Buffer, at: number, left: number): boolean {
  if (left >= HEAD_BYTES_MAX) return true;
  if (left < 2) return false;
  const short = (bytes[at + 1] as number) & 0x7f;
  return short < 126 || (short === 126 && left >= 4);
}
