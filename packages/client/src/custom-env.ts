/** The client in an environment of one's own: another network, another clock. The server's channels in process use it. */
export { connectIn } from './connect.ts';
export type { Env, Socket, SocketEvents } from './env.ts';
