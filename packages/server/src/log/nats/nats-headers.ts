/**
 * Headers of a record in the form of NATS, which trims values and knows no line ends in them: a value that would not
 * come back as it is stands under its name with a star, percent-encoded as RFC 8187 has it for HTTP:
 * `tideway-key*: UTF-8''%20a`. The client's own writer of headers takes as long as all the rest of a record.
 */
import type { MsgHdrs } from '@nats-io/transport-node';

const EXTENDED = "UTF-8''";
/** U+FFFD is what becomes of bytes that are not UTF-8: one that is meant is escaped. */
const UNSAFE = /[\x00-\x1f\x7f\ufffd]/;
const OURS = /^(tideway-|traceparent$)/;

/** The header block of a message, ready to be sent; `undefined` for no header at all. */
export function encodeHeaders(headers: ReadonlyMap<string, string>): Buffer | undefined {
  if (headers.size === 0) return undefined;
  let text = 'NATS/1.0\r\n';
  for (const [name, value] of headers) {
    const isSafe = value === value.trim() && !UNSAFE.test(value);
    // A lone surrogate has no UTF-8 form: what a buffer makes of it is what comes back from every log.
    text += isSafe
      ? `${name}: ${value}\r\n`
      : `${name}*: ${EXTENDED}${encodeURIComponent(Buffer.from(value).toString())}\r\n`;
  }
  return Buffer.from(`${text}\r\n`);
}

/** As the client takes them: of all that headers can, publishing calls `encode` alone. */
export function publishedHeaders(block: Buffer): MsgHdrs {
  return { encode: () => block } as unknown as MsgHdrs;
}

/** The headers of a received message by name, of several values the first; `undefined` where one of ours is not UTF-8. */
export function decodeHeaders(headers: MsgHdrs | undefined): Map<string, string> | undefined {
  const decoded = new Map<string, string>();
  if (headers === undefined) return decoded;
  for (const [name, values] of headers) {
    const value = values[0] ?? '';
    const isExtended = name.endsWith('*') && value.startsWith(EXTENDED);
    const text = isExtended ? percentDecoded(value.slice(EXTENDED.length)) : value;
    const isBroken = text === undefined || (!isExtended && text.includes('\ufffd'));
    if (isBroken && OURS.test(name)) return undefined;
    if (text !== undefined) decoded.set(isExtended ? name.slice(0, -1) : name, text);
  }
  return decoded;
}

function percentDecoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
