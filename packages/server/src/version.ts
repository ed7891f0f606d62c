/** The name and version the server says of itself, from the package it is part of. */
import { readFileSync } from 'node:fs';

/** Two folders up from `src/` and from `dist/` alike lies the package's own description. */
const description = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  readonly version: string;
};

export const version: string = description.version;
export const serverName = `tideway/${version}`;
