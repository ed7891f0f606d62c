/**
 * Bytes that came as text in JSON (SSE-2). The way back is in `batch-sender.ts`, which few pages load.
 */

export function fromBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}
