/** The settings of the server as flags of a command: their help, and their values as the configuration takes them. */
import { environmentName, flagName, settingKeys, settings } from '../ops/config-schema.ts';
import type { Flags } from './command.ts';

/** One line of help for each setting that may be a flag. */
export function settingHelp(): Record<string, string> {
  const help: Record<string, string> = {};
  for (const key of settingKeys) {
    const flag = flagName(key);
    if (flag === undefined) continue;
    const setting = settings[key];
    const given = 'default' in setting ? JSON.stringify(setting.default) : undefined;
    help[flag] = `${setting.meaning}${given === undefined ? '' : ` Default ${given}.`} (${environmentName(key)})`;
  }
  return help;
}

/** Flags as `mergeConfig` takes them. */
export function settingFlags(flags: Flags): Record<string, string | boolean | readonly string[]> {
  const values: Record<string, string | boolean | readonly string[]> = {};
  for (const [name, value] of Object.entries(flags)) {
    if (value === undefined || name === 'help') continue;
    values[name] = typeof value === 'object' ? value.map(String) : value;
  }
  return values;
}
