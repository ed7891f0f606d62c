import assert from 'node:assert/strict';
import { registerHooks } from 'node:module';
import { test } from 'node:test';
import type { SocketEvents } from './env.ts';
import { createScene } from '../test/scene.ts';
import { Credentials } from './credentials.ts';
import { Http } from './http.ts';
import type { LinkEvents } from './link.ts';
import { Transports } from './transports.ts';

test('where the part for SSE cannot be loaded, WebSocket is tried again, and that part after it', async () => {
  const { world, network } = createScene();
  const sockets: SocketEvents[] = [];
  const env = {
    ...world.env(network),
    openSocket(_url: string, _protocol: string, events: SocketEvents) {
      sockets.push(events);
      return { send() {}, close() {} };
    },
  };
  const endpoints = { socket: 'ws://model.test/v1/ws', http: 'http://model.test' };
  const http = new Http(env, endpoints, new Credentials(env, undefined), 'me');
  const transports = new Transports({ env, endpoints, http, choice: 'auto', onBetter() {} });
  /** Opens a link; what became of it. */
  const open = async () => {
    let outcome: string | undefined;
    const events: LinkEvents = {
      onOpen: () => void (outcome ??= 'open'),
      onFrame() {},
      onClose: () => void (outcome ??= 'closed'),
    };
    const count = sockets.length;
    const link = transports.open(events);
    if (sockets.length > count) return 'socket';
    while (outcome === undefined) await world.pass(10);
    link.close();
    return outcome;
  };
  const fails = async () => {
    transports.failed();
    // The server is asked whether it is there at all.
    await world.pass(100);
  };
  const hooks = registerHooks({
    resolve(specifier, context, next) {
      if (specifier.endsWith('/sse-link.ts')) throw new Error('the server has another version now');
      return next(specifier, context);
    },
  });
  assert.equal(await open(), 'socket');
  await fails();
  assert.equal(await open(), 'socket');
  await fails();
  assert.equal(await open(), 'closed');
  await fails();
  assert.equal(await open(), 'socket');
  await fails();
  hooks.deregister();
  assert.equal(await open(), 'open');
  transports.close();
});
