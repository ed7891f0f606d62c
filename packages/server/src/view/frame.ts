/**
 * A record's frame: one whole WebSocket message (RFC 6455 §5.2: FIN, unmasked), made once and kept as these bytes in
 * the store, the ring and every outbox (PROTOCOL.md REC-1). Other transports cut their form out of the same bytes.
 */
import { encodeRecordHeader, type PayloadKind, type RecordHeader } from '@tideway/protocol';

const FIN_TEXT = 0x81;
const FIN_BINARY = 0x82;
const LF = 0x0a;

/** The bytes of a WebSocket frame header for a message of this size: 2, 4 or 10. */
function headBytes(messageBytes: number): number {
  return messageBytes < 126 ? 2 : messageBytes < 65_536 ? 4 : 10;
}

function writeHead(frame: Buffer, opcode: number, messageBytes: number): number {
  frame[0] = opcode;
  if (messageBytes < 126) {
    frame[1] = messageBytes;
    return 2;
  }
  if (messageBytes < 65_536) {
    frame[1] = 126;
    frame.writeUInt16BE(messageBytes, 2);
    return 4;
  }
  frame[1] = 127;
  frame.writeUInt32BE(0, 2);
  frame.writeUInt32BE(messageBytes, 6);
  return 10;
}

/** A server frame without payload, as a WebSocket message. */
export function frameText(header: string): Buffer {
  const bytes = Buffer.byteLength(header);
  const frame = Buffer.allocUnsafe(headBytes(bytes) + bytes);
  frame.write(header, writeHead(frame, FIN_TEXT, bytes));
  return frame;
}

/** A server frame with a payload, as a WebSocket message: text when the payload is JSON, binary when it is bytes. */
export function frameWithPayload(header: string, encoding: PayloadKind, payload: Uint8Array): Buffer {
  const headerBytes = Buffer.byteLength(header);
  const messageBytes = headerBytes + 1 + payload.length;
  const frame = Buffer.allocUnsafe(headBytes(messageBytes) + messageBytes);
  let at = writeHead(frame, encoding === 'json' ? FIN_TEXT : FIN_BINARY, messageBytes);
  at += frame.write(header, at);
  frame[at] = LF;
  frame.set(payload, at + 1);
  return frame;
}

/** The frame of a record. */
export function frameRecord(header: RecordHeader, encoding: PayloadKind, payload: Uint8Array): Buffer {
  return frameWithPayload(encodeRecordHeader(header), encoding, payload);
}

/** A record's frame, taken apart without copying. */
export interface FrameParts {
  readonly encoding: PayloadKind;
  /** The header line's bytes. */
  readonly header: Buffer;
  readonly payload: Buffer;
  /** How many bytes the frame takes from where it starts. */
  readonly length: number;
}

/** The size of the frame that starts at `at`. */
export function frameLength(bytes: Buffer, at = 0): number {
  const short = (bytes[at + 1] as number) & 0x7f;
  if (short < 126) return 2 + short;
  if (short === 126) return 4 + bytes.readUInt16BE(at + 2);
  return 10 + bytes.readUInt32BE(at + 2) * 2 ** 32 + bytes.readUInt32BE(at + 6);
}

/** How many bytes stand in front of the message in the frame that starts at `at`. */
export function frameHeadLength(bytes: Buffer, at = 0): number {
  const short = (bytes[at + 1] as number) & 0x7f;
  return short < 126 ? 2 : short === 126 ? 4 : 10;
}

/** Takes apart the record frame that starts at `at`. */
export function frameParts(bytes: Buffer, at = 0): FrameParts {
  const length = frameLength(bytes, at);
  const start = at + frameHeadLength(bytes, at);
  const lineEnd = bytes.indexOf(LF, start);
  return {
    encoding: bytes[at] === FIN_TEXT ? 'json' : 'bytes',
    header: bytes.subarray(start, lineEnd),
    payload: bytes.subarray(lineEnd + 1, at + length),
    length,
  };
}

/** Reads back the header of a record's frame. */
export function readRecordHeader(header: Buffer): RecordHeader {
  return JSON.parse(header.toString('utf8')) as RecordHeader;
}

/**
 * The record as SSE and HTTP carry it: the header without `op`, then `data` last (PROTOCOL.md SSE-2). Spliced from the
 * stored bytes: the header always begins with `{"op":"record",`.
 */
export function recordLine(frame: Buffer): Buffer {
  const { encoding, header, payload } = frameParts(frame);
  const members = header.subarray('{"op":"record",'.length, header.length - 1);
  return encoding === 'json'
    ? Buffer.concat([OPEN, members, DATA_JSON, payload, CLOSE])
    : Buffer.concat([OPEN, members, DATA_BASE64, Buffer.from(payload.toString('base64'), 'latin1'), CLOSE_QUOTE]);
}

const OPEN = Buffer.from('{');
const CLOSE = Buffer.from('}');
const CLOSE_QUOTE = Buffer.from('"}');
const DATA_JSON = Buffer.from(',"data":');
const DATA_BASE64 = Buffer.from(',"encoding":"base64","data":"');
