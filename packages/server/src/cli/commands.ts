/** The commands, in the order in which they are of use; each is loaded when it is called. */
import type { Command } from './command.ts';

export interface CommandEntry {
  readonly name: string;
  readonly summary: string;
  load(): Promise<Command>;
}

export const commands: readonly CommandEntry[] = [
  {
    name: 'dev',
    summary: 'Starts a server on this machine where anyone may do anything.',
    load: async () => (await import('./dev.ts')).command,
  },
  {
    name: 'serve',
    summary: 'Starts a server as its configuration says.',
    load: async () => (await import('./serve.ts')).command,
  },
  {
    name: 'append',
    summary: 'Puts records into a channel.',
    load: async () => (await import('./append.ts')).command,
  },
  {
    name: 'tail',
    summary: 'Follows channels: what there is, then what comes.',
    load: async () => (await import('./tail.ts')).command,
  },
];
