/**
 * The `allow` claim: how a token narrows what its bearer may do. Reads it at the trust boundary, matches it afterwards.
 * A claim that is not understood is an error, never ignored: what it would have taken away must not come back.
 */
import { globMatches, isGlob } from '@tideway/protocol';
import { type Allow, type AllowWord, allowWords } from './identity.ts';

/** Entries of one `allow`; each permission check looks at all of them. */
export const ALLOW_ENTRIES_MAX = 100;

function isAllowWord(word: unknown): word is AllowWord {
  return (allowWords as readonly unknown[]).includes(word);
}

/**
 * Reads an `allow` claim.
 *
 * @returns the claim, with no prototype
 * @throws RangeError in words: which entry is wrong, and what is allowed
 * @example parseAllow({ 'chat:*': ['subscribe', 'append'] })
 */
export function parseAllow(claim: unknown): Allow {
  if (typeof claim !== 'object' || claim === null || Array.isArray(claim)) {
    throw new RangeError('allow must be an object of channel globs, each with a list of permissions');
  }
  const entries = Object.entries(claim);
  if (entries.length > ALLOW_ENTRIES_MAX) {
    throw new RangeError(`allow has ${entries.length} entries; at most ${ALLOW_ENTRIES_MAX} are allowed`);
  }
  const allow: Record<string, readonly AllowWord[]> = Object.create(null);
  for (const [glob, words] of entries) {
    if (!isGlob(glob)) {
      throw new RangeError(
        `allow: ${shown(glob)} is no channel glob: a channel, a channel's beginning with * at the end, or *`,
      );
    }
    if (!Array.isArray(words) || !words.every(isAllowWord)) {
      throw new RangeError(`allow: ${shown(glob)} must have a list of ${allowWords.join(', ')}`);
    }
    allow[glob] = words;
  }
  return allow;
}

function shown(text: string): string {
  return JSON.stringify(text.length > 64 ? `${text.slice(0, 64)}…` : text);
}

/** True when one of the entries that name the channel has the word; an absent `allow` takes nothing away. */
export function isAllowed(allow: Allow | undefined, permission: AllowWord, channel: string): boolean {
  if (allow === undefined) return true;
  for (const glob in allow) {
    if (globMatches(glob, channel) && allow[glob]?.includes(permission) === true) return true;
  }
  return false;
}
