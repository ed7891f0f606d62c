/** The commands, in the order in which they are of use; each is loaded when it is called. */
import type { Command } from './command.ts';

export interface CommandEntry {
  readonly name: string;
  readonly summary: string;
  load(): Promise<Command>;
}

export const commands: readonly CommandEntry[] = [
  {
    name: 'demo',
    summary: 'Opens a page on which you can kill the server and see that nothing is lost.',
    load: async () => (await import('./demo.ts')).command,
  },
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
  {
    name: 'verify',
    summary: 'Proves that nothing in a channel is missing, doubled or out of order.',
    load: async () => (await import('./verify.ts')).command,
  },
  {
    name: 'bridge',
    summary: 'Moves messages of Kafka, RabbitMQ, NATS or Redis into channels, or records to them.',
    load: async () => (await import('./bridge.ts')).command,
  },
  {
    name: 'group',
    summary: 'Shows who shares the work of a consumer group, and how far behind they are.',
    load: async () => (await import('./group.ts')).command,
  },
  {
    name: 'token',
    summary: 'Makes a JWT.',
    load: async () => (await import('./token.ts')).command,
  },
  {
    name: 'token inspect',
    summary: 'Says what a JWT holds and whether it is still good.',
    load: async () => (await import('./token-inspect.ts')).command,
  },
  {
    name: 'token key',
    summary: 'Makes an API key for a back end.',
    load: async () => (await import('./token-key.ts')).command,
  },
  {
    name: 'log check',
    summary: 'Checks a data folder.',
    load: async () => (await import('./log-check.ts')).command,
  },
  {
    name: 'config check',
    summary: 'Checks a configuration.',
    load: async () => (await import('./config-check.ts')).command,
  },
  {
    name: 'config print',
    summary: 'Shows every setting and where it comes from.',
    load: async () => (await import('./config-print.ts')).command,
  },
  {
    name: 'doctor',
    summary: 'Looks for what makes a server slow, lossy or unreachable.',
    load: async () => (await import('./doctor.ts')).command,
  },
  {
    name: 'bench',
    summary: 'Puts a small load on a server and measures it.',
    load: async () => (await import('./bench.ts')).command,
  },
];
