/** The public surface of `@tideway/protocol`: names, cursors, frames, codes, limits, contracts. */
export * from './channel-glob.ts';
export * from './channel-pattern.ts';
export * from './client-header.ts';
export * from './codes.ts';
export * from './contract.ts';
export * from './crc32.ts';
export * from './cursor.ts';
export * from './frames.ts';
export * from './json-text.ts';
export * from './limits.ts';
export * from './message.ts';
export * from './names.ts';
export * from './server-header.ts';
