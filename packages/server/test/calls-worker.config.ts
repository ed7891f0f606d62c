/** The configuration of two workers, of which the second serves the methods of `calls-node.config.ts`. */
import type { ServerOptions } from 'tideway';
import options from './calls-node.config.ts';

export default (process.env['TIDEWAY_WORKER'] === '2' ? options : {}) satisfies ServerOptions;
