/**
 * Loaded before a server (`node --expose-gc --import`): collects garbage on SIGUSR2, so that resident memory can be
 * compared without what is only waiting to be collected.
 */
process.on('SIGUSR2', () => {
  globalThis.gc?.();
  globalThis.gc?.();
});
