/** The WebSocket codec: frames go out as they are stored (PROTOCOL.md FRM-1). */
import { encodeServerHeader } from '@tideway/protocol';
import { frameText, frameWithPayload } from '../view/frame.ts';
import type { Codec } from './connection.ts';

export const websocketCodec: Codec = {
  name: 'websocket',
  record: (frame) => frame,
  frame: (frame, payload) =>
    payload === undefined
      ? frameText(encodeServerHeader(frame))
      : frameWithPayload(encodeServerHeader(frame), payload.encoding, payload.bytes),
};
