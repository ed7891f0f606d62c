/** Why a server does not start: in one line, with the code of the system and what to do. */
import { CliError, exitCodes } from './exit-codes.ts';

const CHOOSE = 'or choose another folder with --data';
/** By the system's code: what is wrong, and what to do about it. */
const WORDS: Readonly<Record<string, readonly [string, string]>> = {
  EACCES: ['cannot be written: this user may not', `let this user write there, ${CHOOSE}`],
  EPERM: ['cannot be written: this user may not', `let this user write there, ${CHOOSE}`],
  EROFS: ['cannot be written: its file system is read-only', `make that writable, ${CHOOSE}`],
  ENOSPC: ['cannot be written: its disk is full', `make room there, ${CHOOSE}`],
  EDQUOT: ['cannot be written: the quota of this user is used up', `make room there, ${CHOOSE}`],
  EMFILE: ['cannot be opened: this process may open no more files', 'raise its limit (ulimit -n, LimitNOFILE)'],
};

/**
 * What the error of a start is to whoever started it; the error itself where it says so already.
 *
 * @param folder the data folder
 */
export function startFailure(error: unknown, folder: string): unknown {
  const code = codeOf(error);
  const words = code === undefined ? undefined : WORDS[code];
  if (words === undefined) return error;
  const [what, todo] = words;
  return new CliError(exitCodes.failed, `the data folder ${folder} ${what} (${code}); ${todo}`);
}

/** Of a system error that is the error, or its cause. */
function codeOf(error: unknown): string | undefined {
  for (let one = error; one instanceof Error; one = one.cause) {
    const { code, syscall } = one as NodeJS.ErrnoException;
    if (typeof syscall === 'string' && typeof code === 'string') return code;
  }
  return undefined;
}
