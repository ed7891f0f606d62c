/**
 * The real world as an `Env`, in browsers and in Node: both have WebSocket, fetch, crypto and timers as globals.
 */
import type { Env, Socket, SocketEvents } from '../env.ts';

function openSocket(url: string, protocol: string, events: SocketEvents): Socket {
  const socket = new WebSocket(url, protocol);
  socket.binaryType = 'arraybuffer';
  socket.onopen = () => events.onOpen();
  socket.onmessage = ({ data }: MessageEvent<string | ArrayBuffer>) =>
    events.onMessage(typeof data === 'string' ? data : new Uint8Array(data));
  socket.onclose = (event) => events.onClose(event.code);
  // Without a listener Node reports it as uncaught; the close event that follows says all there is to know.
  socket.onerror = () => {};
  return {
    send: (message) => socket.send(message as string | Uint8Array<ArrayBuffer>),
    close() {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    },
  };
}

function onWake(callback: () => void): () => void {
  if (typeof document === 'undefined') return () => {};
  const onVisible = () => {
    if (document.visibilityState === 'visible') callback();
  };
  const ended = new AbortController();
  document.addEventListener('visibilitychange', onVisible, ended);
  for (const event of ['online', 'pageshow']) addEventListener(event, callback, ended);
  return () => ended.abort();
}

export const ambientEnv: Env = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  randomBytes: (count) => crypto.getRandomValues(new Uint8Array(count)),
  setTimer(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
  soon: (callback) => queueMicrotask(callback),
  openSocket,
  fetch: (url, init) => fetch(url, init),
  onWake,
  complain: (error) => console.error(error),
  baseUrl: typeof document === 'undefined' ? undefined : document.baseURI,
};
