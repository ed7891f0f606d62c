/** What a request for a stream asks (PROTOCOL.md SSE-1, SSE-5). */
import { decodeSubscribe, limits, TidewayError, type SubscribeItem } from '@tideway/protocol';
import { parseBody, type Exchange } from './exchange.ts';
import { badFrame } from './request-refusal.ts';

/** The channels and places that a stream is to begin with. */
export interface Asked {
  readonly isGet: boolean;
  readonly isReconnect: boolean;
  readonly items: readonly SubscribeItem[];
}

/** `GET /v1/events`, with the places of `Last-Event-ID` where an `EventSource` comes back. */
export function askedByQuery(exchange: Exchange): Asked {
  const channels = exchange.query.several('channel', limits.eventSourceChannels);
  if (new Set(channels).size !== channels.length) throw badFrame('a channel is named twice');
  const from = exchange.query.maybe('from');
  if (from !== undefined && channels.length > 1 && from.includes('.')) {
    throw badFrame('a cursor as "from" needs exactly one channel');
  }
  const last = exchange.header('last-event-id');
  const places = last?.split(',');
  if (places !== undefined && places.length !== channels.length) {
    throw new TidewayError('bad_cursor', `Last-Event-ID has ${places.length} places for ${channels.length} channels`);
  }
  const items = channels.map((channel, index): SubscribeItem => {
    const place = places?.[index] === '' ? undefined : places?.[index];
    const start = place ?? from;
    return start === undefined ? { channel } : { channel, from: start };
  });
  return { isGet: true, isReconnect: last !== undefined, items };
}

/** `POST /v1/events` */
export async function askedByBody(exchange: Exchange): Promise<Asked> {
  const fields = parseBody(await exchange.text(limits.bodyBytes));
  if (typeof fields !== 'object' || fields === null || Array.isArray(fields)) {
    throw badFrame('the body must be an object with "channel" or "channels"');
  }
  try {
    const { channels } = decodeSubscribe(fields as Readonly<Record<string, unknown>>, limits.subscriptions);
    return { isGet: false, isReconnect: false, items: channels };
  } catch (error) {
    throw badFrame(error instanceof Error ? error.message : 'the body was not understood');
  }
}
