/** What `doctor --url` looks at from outside, through whatever stands between: upgrade, streams, origins, idle cuts. */
import { setTimeout as delay } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { bad, good, note, warning, type Finding } from './finding.ts';
import type { ServerAccess } from './server-access.ts';

export interface ServerExamination {
  readonly access: ServerAccess;
  /** Followed for the checks of streams. */
  readonly channel: string;
  /** A page's origin that shall be let in. */
  readonly origin: string | undefined;
  /** How long connections are left to themselves. */
  readonly idleMs: number | undefined;
  readonly timeoutMs: number;
}

/** A first event later than this was held back by something. */
const BUFFERED_MS = 3_000;
const CLOCK_OFF_MS = 5_000;

export async function* examineServer(examination: ServerExamination): AsyncIterable<Finding> {
  const { access, origin, idleMs } = examination;
  const who = access.session.user === undefined ? 'nobody in particular' : access.session.user;
  yield good('server', `${access.session.server} answers at ${access.url} and takes you for ${who}`);
  yield await clockOffset(access);
  yield await upgrade(examination, undefined);
  if (origin !== undefined) yield* originAllowed(examination, origin);
  yield await firstEvent(examination);
  if (idleMs !== undefined) yield* idleCut(examination, idleMs);
}

async function clockOffset({ request }: ServerAccess): Promise<Finding> {
  const date = (await request('/v1/session')).headers.get('date');
  if (date === null) return note('server-clock', 'the server does not say what time it is');
  // `Date` has whole seconds.
  const offMs = Date.parse(date) + 500 - Date.now();
  return Math.abs(offMs) <= CLOCK_OFF_MS
    ? good('server-clock', 'its clock is that of this machine')
    : warning(
        'server-clock',
        `its clock is off by ${Math.round(offMs / 1_000)} s`,
        'tokens from here are judged by it',
      );
}

function openSocket({ access, timeoutMs }: ServerExamination, origin: string | undefined): WebSocket {
  const { url, token } = access;
  return new WebSocket(`${url.replace(/^http/, 'ws')}/v1/ws`, 'tideway.v1', {
    handshakeTimeout: timeoutMs,
    perMessageDeflate: false,
    ...(origin !== undefined && { origin }),
    ...(token !== undefined && { headers: { authorization: `Bearer ${token}` } }),
  });
}

/** `undefined` when it opened, else why not: a status, or the words of the network. */
function opened(socket: WebSocket): Promise<string | undefined> {
  return new Promise((resolve) => {
    socket.on('open', () => resolve(undefined));
    socket.on('unexpected-response', (_request, response) => {
      response.resume();
      resolve(`${response.statusCode}`);
      socket.terminate();
    });
    socket.on('error', (error) => resolve(error.message));
  });
}

async function upgrade(examination: ServerExamination, origin: string | undefined): Promise<Finding> {
  const startMs = performance.now();
  const socket = openSocket(examination, origin);
  const failure = await opened(socket);
  socket.terminate();
  const ms = Math.round(performance.now() - startMs);
  if (failure === undefined) return good('websocket', `a WebSocket gets through (${ms} ms)`);
  return bad(
    'websocket',
    `no WebSocket gets through (${failure})`,
    'a proxy must pass on HTTP/1.1 with the headers Upgrade and Connection; until then clients use SSE',
  );
}

async function* originAllowed(examination: ServerExamination, origin: string): AsyncIterable<Finding> {
  const socket = openSocket(examination, origin);
  const failure = await opened(socket);
  socket.terminate();
  const advice = `add it to origins: origins: ['${origin}']`;
  if (failure === undefined) yield good('origin-websocket', `pages of ${origin} may open a WebSocket`);
  else yield bad('origin-websocket', `pages of ${origin} may open no WebSocket (${failure})`, advice);
  const response = await examination.access.request('/v1/session', { headers: { origin } }).catch(() => undefined);
  const allowed = response?.headers.get('access-control-allow-origin');
  if (allowed === origin || allowed === '*') yield good('origin-http', `pages of ${origin} may read answers (CORS)`);
  else yield bad('origin-http', `pages of ${origin} may not read answers (CORS)`, advice);
}

/** A stream whose first event has come; `undefined` with the reason where there is none. */
async function openStream(
  { access, channel, timeoutMs }: ServerExamination,
  signal: AbortSignal,
): Promise<
  | { readonly response: Response; readonly reader: ReadableStreamDefaultReader<Uint8Array>; readonly ms: number }
  | string
> {
  const startMs = performance.now();
  const deadline = AbortSignal.timeout(timeoutMs);
  let response: Response;
  try {
    response = await access.request(`/v1/events?channel=${encodeURIComponent(channel)}`, { signal });
  } catch (error) {
    return (error as Error).message;
  }
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  const late = new Promise<'late'>((resolve) => deadline.addEventListener('abort', () => resolve('late')));
  const first = await Promise.race([reader.read(), late]).catch((error: unknown) => (error as Error).message);
  if (first === 'late') return `no event within ${timeoutMs} ms`;
  return typeof first === 'string' ? first : { response, reader, ms: Math.round(performance.now() - startMs) };
}

async function firstEvent(examination: ServerExamination): Promise<Finding> {
  const abort = new AbortController();
  const stream = await openStream(examination, abort.signal);
  abort.abort();
  if (typeof stream === 'string') {
    return stream.startsWith('no event')
      ? bad(
          'sse',
          `an event stream is held back: ${stream}`,
          'turn buffering off at the proxy (nginx: proxy_buffering off)',
        )
      : note(
          'sse',
          `event streams were not checked on ${examination.channel} (${stream}); choose another with --channel`,
        );
  }
  const encoding = stream.response.headers.get('content-encoding');
  if (encoding !== null)
    return warning(
      'sse',
      `event streams are compressed (${encoding}), which holds events back`,
      'leave text/event-stream out',
    );
  return stream.ms <= BUFFERED_MS
    ? good('sse', `the first event of a stream comes after ${stream.ms} ms: not buffered`)
    : warning('sse', `the first event of a stream comes after ${stream.ms} ms`, 'turn buffering off at the proxy');
}

/** Leaves a WebSocket and a stream to their pings and comments, and sees how long something in between lets them. */
async function* idleCut(examination: ServerExamination, idleMs: number): AsyncIterable<Finding> {
  const results = await Promise.all([idleSocket(examination, idleMs), idleStream(examination, idleMs)]);
  for (const [name, endedMs] of [
    ['websocket', results[0]],
    ['sse', results[1]],
  ] as const) {
    const what = name === 'sse' ? 'an event stream' : 'a WebSocket';
    if (endedMs === 'never opened') yield note(`idle-${name}`, `${what} could not be left idle: none was opened`);
    else if (endedMs === undefined) yield good(`idle-${name}`, `${what} without records lives for ${idleMs / 1_000} s`);
    else
      yield bad(
        `idle-${name}`,
        `${what} without records was cut after ${(endedMs / 1_000).toFixed(1)} s`,
        'raise the idle timeout of the proxy (nginx: proxy_read_timeout 75s), or lower pingMs',
      );
  }
}

/** After how long it ended; `undefined` when it did not. */
type IdleEnd = number | undefined | 'never opened';

async function idleSocket(examination: ServerExamination, idleMs: number): Promise<IdleEnd> {
  const socket = openSocket(examination, undefined);
  if ((await opened(socket)) !== undefined) return 'never opened';
  const startMs = performance.now();
  const { token } = examination.access;
  socket.send(
    JSON.stringify({ op: 'hello', id: 1, instance: 'tideway-doctor', ...(token !== undefined && { token }) }),
  );
  // Only what keeps a connection of a real client alive, and nothing else.
  socket.on('message', (message: Buffer) => {
    if (message.toString('utf8').startsWith('{"op":"ping"')) socket.send('{"op":"pong"}');
  });
  const ended = new Promise<number>((resolve) => socket.on('close', () => resolve(performance.now() - startMs)));
  const endedMs = await within(ended, idleMs);
  socket.terminate();
  return endedMs;
}

async function idleStream(examination: ServerExamination, idleMs: number): Promise<IdleEnd> {
  const abort = new AbortController();
  const stream = await openStream(examination, abort.signal);
  if (typeof stream === 'string') return 'never opened';
  const startMs = performance.now();
  const ended = (async () => {
    while (!(await stream.reader.read()).done);
  })()
    .catch(() => {})
    .then(() => performance.now() - startMs);
  const endedMs = await within(ended, idleMs);
  abort.abort();
  return endedMs;
}

async function within(ended: Promise<number>, ms: number): Promise<number | undefined> {
  const stop = new AbortController();
  const over = delay(ms, undefined, { signal: stop.signal }).catch(() => undefined);
  return Promise.race([ended, over]).finally(() => stop.abort());
}
