/**
 * What everything that goes on until it is stopped returns.
 */

export interface Stoppable {
  stop(): void;
  /** The same, for `using`. */
  [Symbol.dispose](): void;
}

/** Engines without explicit resource management have no such symbol, and then nothing that would ask for it. */
const DISPOSE: typeof Symbol.dispose = Symbol.dispose ?? Symbol.for('Symbol.dispose');

export function stoppable(stop: () => void): Stoppable {
  const stopped: Pick<Stoppable, 'stop'> & { [DISPOSE]?: () => void } = { stop };
  stopped[DISPOSE] = stop;
  // Where the engine has the symbol it is the one just set; elsewhere nobody can name it.
  return stopped as Stoppable;
}
