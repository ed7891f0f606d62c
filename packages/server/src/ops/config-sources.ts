/**
 * Where a setting's value comes from: default < `tideway.config.ts` < environment < flag. Merges them into the options
 * that `createServer` takes, and remembers the origin of each for `tideway config print`.
 */
import type { ServerOptions } from './config.ts';
import { shownLogAddress } from '../log/registry.ts';
import { isObject, valueAt } from './config-objects.ts';
import { environmentName, flagName, type Setting, type SettingKey, settingKeys, settings } from './config-schema.ts';
import { checkValue, ConfigError, parseValue, type Problem, show, showNumber, suggest } from './config-values.ts';

/** `default`, `file`, `TIDEWAY_PORT` or `--port`. */
export type ConfigOrigin = string;

export interface MergedConfig {
  readonly options: ServerOptions;
  readonly origins: ReadonlyMap<SettingKey, ConfigOrigin>;
  /** Variables that begin like ours and are none: probably misspelt. */
  readonly warnings: readonly string[];
}

/** Variables of the command line besides settings, which share the prefix. */
const OTHER_VARIABLES = [
  'TIDEWAY_URL',
  'TIDEWAY_TOKEN',
  'TIDEWAY_SECRET',
  'TIDEWAY_CONFIG',
  'TIDEWAY_FAULT_CLOCK_FILE',
  'TIDEWAY_WORKER',
  'TIDEWAY_BRIDGE_FROM',
  'TIDEWAY_BRIDGE_TO',
];

/**
 * Merges the sources. Only texts are read here; what the result means is checked by `resolveConfig`.
 *
 * @param sources.file what `tideway.config.ts` exports
 * @param sources.flags by flag name without `--`, as `node:util` `parseArgs` gives them
 * @throws ConfigError when a variable or flag is not what its setting takes; the message names the variable or flag
 */
export function mergeConfig(sources: {
  readonly file?: ServerOptions | undefined;
  readonly environment?: Readonly<Record<string, string | undefined>> | undefined;
  readonly flags?: Readonly<Record<string, string | boolean | readonly string[] | undefined>> | undefined;
}): MergedConfig {
  const { file = {}, environment = {}, flags = {} } = sources;
  if (!isObject(file)) {
    throw new ConfigError([
      { key: '', message: `the configuration file must export an object by default, not ${show(file)}` },
    ]);
  }
  const options: Record<string, unknown> = { ...file };
  const origins = new Map<SettingKey, ConfigOrigin>();
  const problems: Problem[] = [];

  for (const key of settingKeys) {
    const setting: Setting = settings[key];
    origins.set(key, valueAt(file, key) === undefined ? 'default' : 'file');
    const variable = environmentName(key);
    const flag = flagName(key);
    const fromEnvironment = environment[variable];
    // An empty variable is what a composed environment has for "not set".
    if (fromEnvironment !== undefined && fromEnvironment !== '') take(key, setting, variable, fromEnvironment);
    const fromFlag = flag === undefined ? undefined : flags[flag];
    if (flag !== undefined && fromFlag !== undefined) take(key, setting, `--${flag}`, fromFlag);
  }

  function take(
    key: SettingKey,
    setting: Setting,
    origin: ConfigOrigin,
    given: string | boolean | readonly string[],
  ): void {
    const value =
      typeof given === 'boolean' ? given : parseValue(setting, typeof given === 'string' ? given : given.join(','));
    const problem = checkValue(origin, setting, value, given);
    if (problem !== undefined) problems.push(problem);
    put(options, key, value);
    origins.set(key, origin);
  }

  if (problems.length > 0) throw new ConfigError(problems);
  // `resolveConfig` checks every one of the values put in.
  return { options, origins, warnings: misspelt(environment) };
}

function misspelt(environment: Readonly<Record<string, string | undefined>>): string[] {
  const known = [...settingKeys.map(environmentName), ...OTHER_VARIABLES];
  return Object.keys(environment)
    .filter((name) => name.startsWith('TIDEWAY_') && !known.includes(name))
    .map((name) => `${name} is not a variable of Tideway${suggest(name, known)}`);
}

function put(object: Record<string, unknown>, key: string, value: unknown): void {
  const steps = key.split('.');
  const last = steps.pop() as string;
  let at = object;
  for (const step of steps) {
    // A copy: what the file exports is not ours to change.
    const inner: Record<string, unknown> = isObject(at[step]) ? { ...at[step] } : {};
    at[step] = inner;
    at = inner;
  }
  at[last] = value;
}

/** One line of `tideway config print`. */
export interface SettingLine {
  readonly key: SettingKey;
  /** As people read it; a secret's is never shown. */
  readonly value: string;
  readonly origin: ConfigOrigin;
}

/** Every setting with its value and origin. */
export function describeConfig(merged: MergedConfig): SettingLine[] {
  return settingKeys.map((key) => {
    const setting: Setting = settings[key];
    const given = valueAt(merged.options, key);
    const value = given ?? ('default' in setting ? setting.default : undefined);
    return { key, value: describeValue(setting, value), origin: merged.origins.get(key) ?? 'default' };
  });
}

function describeValue(setting: Setting, value: unknown): string {
  if (value === undefined) return '(not set)';
  if (setting.secret === true) return '(set, not shown)';
  if (typeof value === 'number' && 'min' in setting) return showNumber(setting.kind, value);
  // Of all texts the log's address alone may carry credentials.
  if (typeof value === 'string') return shownLogAddress(value);
  return JSON.stringify(value, (_, inner: unknown) => (typeof inner === 'function' ? '(a function)' : inner));
}
