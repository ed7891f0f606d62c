/** The public surface of `tideway`: the server, what it is configured with, and what its channels are typed by. */
export { contract, TidewayError, type Code, type Contract } from '@tideway/protocol';
export type { Identity, Permission } from './auth/identity.ts';
export type { Who, WhoFunction } from './auth/permissions.ts';
export type { NamespaceOptions } from './ops/config-namespaces.ts';
export type { ServerOptions } from './ops/config.ts';
export { ConfigError } from './ops/config-values.ts';
export { createServer, type CloseOptions, type ListenOptions, type Server } from './server.ts';
export { version } from './version.ts';
