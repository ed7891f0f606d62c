/**
 * The real world as an `Env`, in browsers and in Node: both have WebSocket, fetch, crypto and timers as globals.
 */
import type { Env, Socket, SocketEvents } from '../env.ts';

function openSocket(url: string, protocol: string, events: SocketEvents): Socket {
  const socket = new WebSocket(url, protocol);
  socket.binaryType = 'arraybuffer';
  let isClosed = false;
  socket.onopen = () => {
    if (!isClosed) events.onOpen();
  };
  socket.onmessage = (event: MessageEvent<string | ArrayBuffer>) => {
    if (!isClosed) events.onMessage(typeof event.data === 'string' ? event.data : new Uint8Array(event.data));
  };
  socket.onclose = (event) => {
    if (isClosed) return;
    isClosed = true;
    events.onClose(event.code);
  };
  // Without a listener Node reports it as uncaught; the close event that follows says all there is to know.
  socket.onerror = () => {};
  return {
    send: (message) => socket.send(message as string | Uint8Array<ArrayBuffer>),
    close() {
      isClosed = true;
      socket.close();
    },
  };
}

function onWake(callback: () => void): () => void {
  if (typeof document === 'undefined') return () => {};
  const onVisible = () => {
    if (document.visibilityState === 'visible') callback();
  };
  document.addEventListener('visibilitychange', onVisible);
  globalThis.addEventListener('online', callback);
  globalThis.addEventListener('pageshow', callback);
  return () => {
    document.removeEventListener('visibilitychange', onVisible);
    globalThis.removeEventListener('online', callback);
    globalThis.removeEventListener('pageshow', callback);
  };
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
