/**
 * A message taken apart (PROTOCOL.md FRM-1): a header line of JSON and, where there is a payload, one line feed and the
 * payload's bytes as they are. Only headers are decoded here; whoever calls this holds the bytes.
 */

/** Takes a text message apart at its first line feed. */
export function splitText(message: string): { readonly header: string; readonly payload: string | undefined } {
  const at = message.indexOf('\n');
  return at < 0
    ? { header: message, payload: undefined }
    : { header: message.slice(0, at), payload: message.slice(at + 1) };
}

const utf8 = /* @__PURE__ */ new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** A header that is not UTF-8 is given as the empty text, which no decoder takes (FRM-2). */
function decodeHeader(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch {
    return '';
  }
}

/** Takes a binary message apart at its first line feed; the payload is a view of the message's bytes. Never throws. */
export function splitBytes(message: Uint8Array): { readonly header: string; readonly payload: Uint8Array | undefined } {
  const at = message.indexOf(0x0a);
  return at < 0
    ? { header: decodeHeader(message), payload: undefined }
    : { header: decodeHeader(message.subarray(0, at)), payload: message.subarray(at + 1) };
}
