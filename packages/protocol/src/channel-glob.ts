/**
 * Channel globs (PROTOCOL.md NAM-5): a channel, the beginning of some with `*` behind it, or `*` for all. What an API
 * key's or token's `allow` is written in, and what a feed is asked for.
 */

const GLOB = /^(?:\*|\$?[a-z][a-z0-9-]{0,31}:(?:\*|[A-Za-z0-9_.\-~/@=+,]{1,200}\*?))$/;

/** True for a well-formed glob. */
export function isGlob(text: string): boolean {
  return GLOB.test(text);
}

/** True when the glob names the channel, or every channel that another glob names. */
export function globMatches(glob: string, channel: string): boolean {
  return glob.endsWith('*') ? channel.startsWith(glob.slice(0, -1)) : glob === channel;
}
