/**
 * What a configuration names outside itself: keys, a certificate, folders. The one place that says whether they will do,
 * for `createServer` and for `tideway config check`.
 */
import { lstat, stat } from 'node:fs/promises';
import { type Authenticator, createAuthenticator } from '../auth/authenticator.ts';
import type { OnJwksFailure } from '../auth/jwks.ts';
import { loadTls } from '../auth/tls.ts';
import { makeFolder } from '../log/missing-folders.ts';
import { parseLogAddress } from '../log/registry.ts';
import type { ResolvedConfig, ServerOptions } from '../ops/config.ts';
import { ConfigError, type Problem, show } from '../ops/config-values.ts';

/** Reads all of it and changes nothing. The folders need not be there yet. @throws ConfigError with all that is wrong */
export async function readConfigured(
  options: ServerOptions,
  config: ResolvedConfig,
  onJwksFailure: OnJwksFailure,
): Promise<Authenticator> {
  const { auth, env, development, tls } = config;
  const problems: Problem[] = [];
  const authenticator = await orProblem('auth', createAuthenticator({ auth, env, development, onJwksFailure }));
  if (tls !== undefined) await orProblem('tls', loadTls(tls));
  for (const { key, folder } of foldersOf(options, config)) {
    const why = await whyNoFolder(folder);
    if (why !== undefined) problems.push(folderProblem(key, folder, why));
  }
  if (authenticator === undefined || problems.length > 0) throw new ConfigError(problems);
  return authenticator;

  /** `undefined` where what was configured is wrong; what nobody foresaw is thrown. */
  async function orProblem<T>(key: string, opening: Promise<T>): Promise<T | undefined> {
    try {
      return await opening;
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      problems.push({ key, message: error.message });
      return undefined;
    }
  }
}

/** @throws ConfigError when one cannot be made */
export async function makeConfiguredFolders(options: ServerOptions, config: ResolvedConfig): Promise<void> {
  for (const { key, folder } of foldersOf(options, config)) await makeConfiguredFolder(key, folder);
}

/** @throws ConfigError when it cannot be made */
export async function makeConfiguredFolder(key: 'log' | 'data', folder: string): Promise<void> {
  try {
    await makeFolder(folder);
  } catch (error) {
    const why = (await whyNoFolder(folder)) ?? `it cannot be made (${(error as Error).message})`;
    throw new ConfigError([folderProblem(key, folder, why)]);
  }
}

interface ConfiguredFolder {
  readonly key: 'log' | 'data';
  readonly folder: string;
}

function foldersOf(options: ServerOptions, config: ResolvedConfig): ConfiguredFolder[] {
  const address = parseLogAddress(config.log);
  const folders: ConfiguredFolder[] = [];
  if (address.driver === 'embedded' && options.log !== undefined) folders.push({ key: 'log', folder: address.folder });
  // A log that is a folder is the data folder too, and is named once.
  if (config.data !== undefined && config.data !== options.log) folders.push({ key: 'data', folder: config.data });
  return folders;
}

function folderProblem(key: string, folder: string, why: string): Problem {
  const allowed = 'a folder is, or a place where one can be made';
  return { key, message: `${key}: ${show(folder)} is not allowed, ${why}; ${allowed}` };
}

async function whyNoFolder(path: string): Promise<string | undefined> {
  try {
    return (await stat(path)).isDirectory() ? undefined : 'it is a file';
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code !== 'ENOENT') return `it cannot be made (${message})`;
    return lstat(path).then(
      () => 'it is a link that leads nowhere',
      () => undefined,
    );
  }
}
