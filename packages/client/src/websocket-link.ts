/**
 * A link over WebSocket (WS-1, FRM-1): one message is one frame.
 */
import { decodeServerHeader, encodeClientHeader, splitBytes, splitText } from '@tideway/protocol';
import type { Endpoints } from './endpoints.ts';
import type { Env } from './env.ts';
import type { Link, LinkEvents } from './link.ts';

/** Names nothing: asking to leave it is answered `ok` and changes nothing (SUB-13). */
const PROBE_CHANNEL = 'probe:probe';
/** Requests count up from 1 and never get there. */
const PROBE_ID = Number.MAX_SAFE_INTEGER;

const utf8 = new TextEncoder();

export function openWebSocketLink(
  { env, endpoints }: { readonly env: Env; readonly endpoints: Endpoints },
  events: LinkEvents,
): Link {
  const socket = env.openSocket(endpoints.socket, 'tideway.v1', {
    ...events,
    onMessage(message) {
      const { header, payload } = typeof message === 'string' ? splitText(message) : splitBytes(message);
      const frame = decodeServerHeader(header);
      if (frame !== undefined) events.onFrame(frame, payload);
    },
  });
  const link: Link = {
    send(frame, payload) {
      const header = encodeClientHeader(frame);
      if (payload === undefined) socket.send(header);
      else if (typeof payload === 'string') socket.send(`${header}\n${payload}`);
      else {
        const head = utf8.encode(`${header}\n`);
        const message = new Uint8Array(head.length + payload.length);
        message.set(head);
        message.set(payload, head.length);
        socket.send(message);
      }
    },
    probe: () => link.send({ op: 'unsubscribe', id: PROBE_ID, channel: PROBE_CHANNEL }),
    close: () => socket.close(),
  };
  return link;
}
