/** Where the programs of this folder and below it are that are started as processes of their own, and how a person starts them. */
import { fileURLToPath } from 'node:url';

const isClone = import.meta.url.endsWith('.ts');

/** What a person writes before a command: in a clone nothing is built. */
export const commandLine = isClone ? 'npm run -s tideway --' : 'npx tideway';

/** The path of one of them, such as `main` or `demo/demo-leash`, built or not. */
export function programBeside(name: string): string {
  return fileURLToPath(new URL(`./${name}${isClone ? '.ts' : '.js'}`, import.meta.url));
}
