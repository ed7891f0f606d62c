/** Who may import whom. Imports flow one way (ARCHITECTURE.md); the rest of the law reads it from these tables. */

export interface Permission {
  /** May be imported for values and types. */
  readonly values: readonly string[];
  /** May be imported for types only. */
  readonly types: readonly string[];
}

/** The rooms of packages/server/src: a folder, or a file beside them. */
export const serverRooms: Readonly<Record<string, Permission>> = {
  env: { values: [], types: [] },
  service: { values: [], types: [] },
  version: { values: [], types: [] },
  log: { values: ['env'], types: [] },
  bridge: { values: ['env', 'log', 'service'], types: [] },
  view: { values: ['env', 'log'], types: [] },
  auth: { values: ['env'], types: [] },
  hub: { values: ['env', 'log', 'view'], types: ['auth'] },
  transport: { values: ['env', 'log', 'view', 'hub'], types: ['auth', 'ops'] },
  ops: { values: ['env', 'log', 'bridge', 'view', 'hub'], types: ['auth', 'transport'] },
  server: { values: ['env', 'version', 'log', 'view', 'hub', 'auth', 'transport', 'ops'], types: [] },
  index: { values: ['env', 'version', 'log', 'view', 'hub', 'auth', 'transport', 'ops', 'server'], types: [] },
  cli: {
    values: [
      'env',
      'version',
      'log',
      'bridge',
      'view',
      'hub',
      'auth',
      'transport',
      'ops',
      'server',
      'index',
      'service',
    ],
    types: [],
  },
};

/** The packages of this repository, by folder. What is missing here (bench, scripts) may import every package. */
export const packageImports: Readonly<Record<string, Permission>> = {
  'packages/protocol': { values: [], types: [] },
  'packages/client': { values: ['@tideway/protocol'], types: [] },
  'packages/server': { values: ['@tideway/protocol'], types: [] },
  'packages/console': { values: ['@tideway/client', '@tideway/verifier'], types: [] },
  'packages/verifier': { values: ['@tideway/protocol', '@tideway/client'], types: ['tideway'] },
  examples: { values: ['@tideway/client', 'tideway', 'tideway/service'], types: [] },
};

/**
 * What rooms of the server may import besides: the command line and its demo use the SDK like any other program, and of
 * the verifier the checker (for `verify`) and the ports (for the demo's brokers); the server's channels in process are the SDK's too.
 */
export const serverRoomsPackages: Readonly<Record<string, readonly string[]>> = {
  cli: ['@tideway/client', '@tideway/verifier'],
  server: ['@tideway/client'],
};

/** The room of a file in packages/server/src. */
export function serverRoomOf(file: string): string | undefined {
  const path = /^packages\/server\/src\/(.+)$/.exec(file)?.[1];
  if (path === undefined) return undefined;
  return path.includes('/') ? path.slice(0, path.indexOf('/')) : path.replace(/\.[a-z]+$/, '');
}

/** The folder of the package a file belongs to; `scripts` counts as one. */
export function packageOf(file: string): string {
  return /^(packages|examples)\/[^/]+(?=\/)/.exec(file)?.[0] ?? file.slice(0, file.indexOf('/'));
}

/** Whether browser code may name Node's modules here: only where the client meets Node. */
export function isClientNodeFile(file: string): boolean {
  return file === 'packages/client/src/node.ts' || file.startsWith('packages/client/src/adapters/');
}
