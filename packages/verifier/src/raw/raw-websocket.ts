/**
 * A WebSocket client down to the bytes (RFC 6455), over a plain socket: it may send what no library would, stop reading,
 * and be cut anywhere. Knows nothing of Tideway.
 */
import { createHash, randomBytes } from 'node:crypto';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { Duplex } from 'node:stream';

const opcodes = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

export interface RawMessage {
  readonly binary: boolean;
  readonly bytes: Buffer;
}

export interface RawClose {
  /** 1005: a close frame without number; 1006: none at all. */
  readonly code: number;
  readonly reason: string;
}

/** The server answered the handshake with something else than 101. */
export class HandshakeRefused extends Error {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;

  constructor(response: IncomingMessage, body: string) {
    super(`the handshake was answered ${response.statusCode}: ${body.slice(0, 300)}`);
    this.name = 'HandshakeRefused';
    this.status = response.statusCode ?? 0;
    this.headers = response.headers;
    this.body = body;
  }
}

export interface RawOptions {
  readonly protocol?: string | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

/** Does the handshake with the WebSocket endpoint at `url` (http: or https:). */
export async function openRaw(url: URL, options: RawOptions = {}): Promise<RawWebSocket> {
  const key = randomBytes(16).toString('base64');
  const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
  return new Promise((resolve, reject) => {
    const request = send(url, {
      agent: false,
      headers: {
        Connection: 'Upgrade',
        Upgrade: 'websocket',
        'Sec-WebSocket-Version': '13',
        'Sec-WebSocket-Key': key,
        ...(options.protocol === undefined ? {} : { 'Sec-WebSocket-Protocol': options.protocol }),
        ...options.headers,
      },
    });
    request.on('error', reject);
    request.on('response', (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => (body += chunk));
      response.on('end', () => reject(new HandshakeRefused(response, body)));
      response.on('error', reject);
    });
    request.on('upgrade', (response, socket, head) => {
      const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
      if (response.headers['sec-websocket-accept'] !== accept) {
        socket.destroy();
        reject(new Error('the handshake was accepted with a wrong Sec-WebSocket-Accept'));
        return;
      }
      resolve(new RawWebSocket(socket, head, response.headers));
    });
    request.end();
  });
}

export class RawWebSocket {
  /** The headers of the 101. */
  readonly headers: IncomingMessage['headers'];
  onMessage: ((message: RawMessage) => void) | undefined;
  onClose: ((close: RawClose) => void) | undefined;
  /** How many WebSocket pings came; they are answered. */
  pings = 0;
  readonly #socket: Duplex;
  #close: RawClose | undefined;
  #chunks: Buffer;
  #parts: Buffer[] = [];
  #binary = false;

  constructor(socket: Duplex, head: Buffer, headers: IncomingMessage['headers']) {
    this.headers = headers;
    this.#socket = socket;
    this.#chunks = head;
    socket.on('data', (chunk: Buffer) => {
      this.#chunks = this.#chunks.length === 0 ? chunk : Buffer.concat([this.#chunks, chunk]);
      this.#read();
    });
    socket.on('error', () => {});
    socket.on('end', () => socket.end());
    socket.on('close', () => {
      this.#close ??= { code: 1006, reason: '' };
      this.onClose?.(this.#close);
    });
    // What came with the handshake is read once whoever opened this has set its callbacks.
    if (head.length > 0) setImmediate(() => this.#read());
  }

  sendText(text: string | Uint8Array): void {
    this.sendFrame(opcodes.text, typeof text === 'string' ? Buffer.from(text) : text);
  }

  sendBinary(bytes: Uint8Array): void {
    this.sendFrame(opcodes.binary, bytes);
  }

  /** Writes one frame, right or wrong: `first` replaces the first byte (FIN, reserved bits, opcode). */
  sendFrame(
    opcode: number,
    payload: Uint8Array,
    wrong: { readonly first?: number; readonly unmasked?: boolean } = {},
  ): void {
    this.#socket.write(encodeFrame(opcode, payload, wrong));
  }

  close(code = 1000): void {
    const payload = Buffer.alloc(2);
    payload.writeUInt16BE(code);
    this.sendFrame(opcodes.close, payload);
    this.#socket.end();
  }

  /** Cuts the connection without a word. */
  cut(): void {
    this.#socket.destroy();
  }

  /** Stops reading, so that the server's writes pile up. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  #read(): void {
    for (;;) {
      const frame = decodeFrame(this.#chunks);
      if (frame === undefined) return;
      this.#chunks = this.#chunks.subarray(frame.length);
      this.#take(frame);
    }
  }

  #take({ opcode, isFinal, payload }: ServerFrameBytes): void {
    switch (opcode) {
      case opcodes.ping:
        this.pings++;
        this.sendFrame(opcodes.pong, payload);
        return;
      case opcodes.pong:
        return;
      case opcodes.close:
        this.#close ??=
          payload.length < 2
            ? { code: 1005, reason: '' }
            : { code: payload.readUInt16BE(0), reason: payload.toString('utf8', 2) };
        if (this.#socket.writable) this.sendFrame(opcodes.close, payload.subarray(0, 2));
        this.#socket.end();
        return;
      default:
        if (opcode !== opcodes.continuation) this.#binary = opcode === opcodes.binary;
        this.#parts.push(payload);
        if (!isFinal) return;
        this.onMessage?.({ binary: this.#binary, bytes: Buffer.concat(this.#parts) });
        this.#parts = [];
    }
  }
}

interface ServerFrameBytes {
  readonly opcode: number;
  readonly isFinal: boolean;
  readonly payload: Buffer;
  readonly length: number;
}

/** The first whole frame of the bytes; `undefined` where more must come. A server's frames are not masked. */
function decodeFrame(bytes: Buffer): ServerFrameBytes | undefined {
  if (bytes.length < 2) return undefined;
  const first = bytes[0] as number;
  const short = (bytes[1] as number) & 0x7f;
  const head = short < 126 ? 2 : short === 126 ? 4 : 10;
  if (bytes.length < head) return undefined;
  const size = short < 126 ? short : short === 126 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2));
  if (bytes.length < head + size) return undefined;
  return {
    opcode: first & 0x0f,
    isFinal: (first & 0x80) !== 0,
    payload: Buffer.from(bytes.subarray(head, head + size)),
    length: head + size,
  };
}

function encodeFrame(
  opcode: number,
  payload: Uint8Array,
  wrong: { readonly first?: number; readonly unmasked?: boolean },
): Buffer {
  const size = payload.length;
  const head = size < 126 ? 2 : size < 65_536 ? 4 : 10;
  const maskBytes = wrong.unmasked === true ? 0 : 4;
  const frame = Buffer.allocUnsafe(head + maskBytes + size);
  frame[0] = wrong.first ?? 0x80 | opcode;
  const masked = wrong.unmasked === true ? 0 : 0x80;
  if (size < 126) frame[1] = masked | size;
  else if (size < 65_536) {
    frame[1] = masked | 126;
    frame.writeUInt16BE(size, 2);
  } else {
    frame[1] = masked | 127;
    frame.writeBigUInt64BE(BigInt(size), 2);
  }
  frame.set(payload, head + maskBytes);
  if (maskBytes === 0) return frame;
  const mask = randomBytes(4);
  frame.set(mask, head);
  for (let i = 0; i < size; i++) frame[head + 4 + i] = (frame[head + 4 + i] as number) ^ (mask[i & 3] as number);
  return frame;
}
