/** The public surface of `tideway`: the server, what it is configured with, and what its channels are typed by. */
export { contract, TidewayError, type Code, type Contract } from '@tideway/protocol';
export { createKey, hashKey, type ApiKey } from './auth/api-keys.ts';
export type { AuthOptions, SessionHook, SessionIdentity, SessionRequest } from './auth/authenticator.ts';
export type { Allow, Identity, Permission } from './auth/identity.ts';
export type { JwtOptions } from './auth/jwt.ts';
export type { Who, WhoFunction } from './auth/permissions.ts';
export type { Caller, MethodOptions } from './hub/call.ts';
export type { NamespaceOptions } from './ops/config-namespaces.ts';
export type { ServerLimits, ServerOptions } from './ops/config.ts';
export { ConfigError } from './ops/config-values.ts';
export type { LogLine } from './ops/logger.ts';
export { createServer } from './server.ts';
export type { CloseOptions, ListenOptions, Server } from './server/server-contract.ts';
export { version } from './version.ts';
