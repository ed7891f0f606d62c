/** Where the programs of this folder are that are started as processes of their own. */
import { fileURLToPath } from 'node:url';

/** The path of one of them, built or not. */
export function programBeside(name: string): string {
  return fileURLToPath(new URL(`./${name}${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url));
}
