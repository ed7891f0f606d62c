/** What a server is started with: `tideway.config.ts` (or .js), then the environment, then flags. */
import { access } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { ServerOptions } from '../ops/config.ts';
import {
  environmentName,
  flagName,
  type Setting,
  type SettingKey,
  settingKeys,
  settings,
} from '../ops/config-schema.ts';
import { mergeConfig, type MergedConfig } from '../ops/config-sources.ts';
import { workerNumber } from '../server/workers/worker.ts';
import { usageError } from './exit-codes.ts';
import type { Flag, FlagTable, Given } from './flags.ts';
import { type Io, say } from './io.ts';

const FILE_NAMES = ['tideway.config.ts', 'tideway.config.mts', 'tideway.config.js', 'tideway.config.mjs'];

export const configFlag = {
  kind: 'text',
  value: 'FILE',
  variable: 'TIDEWAY_CONFIG',
  meaning: 'The configuration file. Default: tideway.config.ts or .js of this folder, where there is one.',
} as const satisfies Flag;

/** A flag for each setting that may be one. */
export function settingFlags(without: readonly SettingKey[] = []): FlagTable {
  const table: Record<string, Flag> = {};
  for (const key of settingKeys) {
    const name = flagName(key);
    const setting: Setting = settings[key];
    if (name === undefined || setting.kind === 'json' || without.includes(key)) continue;
    table[name] = { ...setting, variable: environmentName(key) };
  }
  return table;
}

export interface LoadedConfig extends MergedConfig {
  /** The path of the configuration file, where there is one. */
  readonly file: string | undefined;
}

/**
 * Reads all sources.
 *
 * @throws ConfigError, or CliError (usage) when the file cannot be loaded
 */
export async function loadServerConfig(io: Io, given: Given): Promise<LoadedConfig> {
  const named = given['config'] ?? io.environment['TIDEWAY_CONFIG'];
  const file = await findFile(io, typeof named === 'string' && named !== '' ? named : undefined);
  const exported = file === undefined ? undefined : await importFile(file);
  const merged = mergeConfig({ file: exported, environment: io.environment, flags: given });
  // Of several processes one speaks for all.
  if (workerNumber(io.environment) === undefined) for (const warning of merged.warnings) say(io, `warning: ${warning}`);
  return { ...merged, file };
}

async function findFile(io: Io, named: string | undefined): Promise<string | undefined> {
  if (named !== undefined) return resolve(io.folder, named);
  for (const name of FILE_NAMES) {
    const path = join(io.folder, name);
    if (await exists(path)) return path;
  }
  return undefined;
}

async function importFile(path: string): Promise<ServerOptions> {
  if (!(await exists(path))) throw usageError(`there is no file ${path}`);
  let module: { readonly default?: unknown };
  try {
    module = (await import(pathToFileURL(path).href)) as { readonly default?: unknown };
  } catch (error) {
    throw usageError(`${path} cannot be loaded: ${(error as Error).message}`);
  }
  if (module.default === undefined) {
    throw usageError(`${path} exports nothing by default`, 'export default { namespaces: { … } };');
  }
  // `mergeConfig` and `resolveConfig` check all of it.
  return module.default as ServerOptions;
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
