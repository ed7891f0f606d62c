/** The configuration of a node that is a process of its own, for the tests of calls. */
import type { ServerOptions } from 'tideway';

export default {
  calls: {
    /** Which process answers, and whom it takes its caller for. */
    'there.who': { call: 'user', handle: (_argument, { user }) => ({ user, pid: process.pid }) },
    /** Says on stderr that it has begun, and never answers. */
    'there.wait': {
      call: 'anyone',
      handle: (argument) => {
        process.stderr.write(`waiting ${String(argument)}\n`);
        return new Promise(() => {});
      },
    },
  },
} satisfies ServerOptions;
