/**
 * The configuration of a server under test: the methods that the checks of calls ask for. Of several workers all but the
 * first serve none, so that calls which come in there are passed on.
 */
import { TidewayError } from '@tideway/protocol';
import type { ServerOptions } from 'tideway';

const isAnotherWorker = Number(process.env['TIDEWAY_WORKER'] ?? 1) > 1;

const calls: ServerOptions['calls'] = {
  /** Gives its argument back. */
  'wire.echo': { call: 'anyone', handle: (argument) => argument },
  /** Gives nothing. */
  'wire.nothing': { call: 'anyone', handle: () => undefined },
  /** Refuses in words of its own. */
  'wire.refuse': {
    call: 'anyone',
    handle() {
      throw new TidewayError('invalid', 'not today');
    },
  },
  /** Fails with a text that nobody may be told. */
  'wire.fail': {
    call: 'anyone',
    handle() {
      throw new Error('wire-secret');
    },
  },
  /** Never answers. */
  'wire.wait': { call: 'anyone', handle: () => new Promise(() => {}) },
  /** Gives as many characters as its argument says. */
  'wire.large': { call: 'anyone', handle: (length) => 'x'.repeat(Number(length)) },
};

export default { calls: isAnotherWorker ? {} : calls } satisfies ServerOptions;
