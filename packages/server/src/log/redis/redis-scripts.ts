/**
 * What runs inside Redis, each in one step: a script is atomic there, for other clients as for the append-only file and
 * the replicas. Every script works on one partition and first asks whether it still is the life that the node knows.
 *
 * A partition is one stream. Its entries are numbered by Redis itself: the id `0-*` becomes `0-1`, `0-2`, `0-3` …
 * without a hole, and the stream remembers its last id when it is trimmed. The epoch is the name of a consumer group of
 * that stream that nobody reads with: it lives and dies with the stream, on replicas and in every file of Redis.
 */
import { createHash } from 'node:crypto';

export interface RedisScript {
  readonly lua: string;
  /** By which Redis knows it once it was sent in full. */
  readonly sha: string;
}

export function script(lua: string): RedisScript {
  return { lua, sha: createHash('sha1').update(lua).digest('hex') };
}

/** Before the epoch in the name of a group. */
export const EPOCH_GROUP = 'tideway-epoch:';

/** `XPENDING` of a group without readers costs nothing, and is an error NOGROUP for any other stream, or none. */
const sameLife = `redis.call('XPENDING', KEYS[1], ARGV[1])\n`;

/** Stream, group of a new life → the group that the stream has, made where it had none. */
export const openScript = script(`
local known = redis.pcall('XINFO', 'GROUPS', KEYS[1])
if known.err and not string.find(known.err, 'no such key', 1, true) then return known end
if not known.err then
  for _, group in ipairs(known) do
    for i = 1, #group, 2 do
      if group[i] == 'name' and string.sub(group[i + 1], 1, ${EPOCH_GROUP.length}) == '${EPOCH_GROUP}' then
        return group[i + 1]
      end
    end
  end
end
redis.call('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
return ARGV[1]
`);

/** Stream, group, then for each record how many fields and values it has, and these. All are stored, or none. */
export const appendScript = script(`
${sameLife}
local at = 2
while at <= #ARGV do
  local last = at + ARGV[at]
  redis.call('XADD', KEYS[1], '0-*', unpack(ARGV, at + 1, last))
  at = last + 1
end
`);

/** Stream, group, first number, how many at most, how many bytes at most → entries; at least one where there is any. */
export const readScript = script(`
${sameLife}
local from, limit, room = '0-' .. ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local entries, bytes = {}, 0
while #entries < limit and bytes < room do
  local fit = 4
  if bytes > 0 then fit = math.floor((room - bytes) * #entries / bytes) end
  local count = math.max(1, math.min(fit, 512, limit - #entries))
  local page = redis.call('XRANGE', KEYS[1], from, '+', 'COUNT', count)
  for _, entry in ipairs(page) do
    for _, text in ipairs(entry[2]) do bytes = bytes + #text + 8 end
    entries[#entries + 1] = entry
  end
  if #page < count then break end
  from = '(' .. page[#page][1]
end
return entries
`);

/** Stream, group → the id of the oldest entry, or nothing, and the last id given out. */
export const boundsScript = script(`
${sameLife}
local info, last = redis.call('XINFO', 'STREAM', KEYS[1]), ''
for i = 1, #info, 2 do
  if info[i] == 'last-generated-id' then last = info[i + 1] end
end
local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)
return { first[1] and first[1][1] or '', last }
`);

/** Stream, group, number: lets go of everything up to it. */
export const trimScript = script(`
${sameLife}
redis.call('XTRIM', KEYS[1], 'MINID', '0-' .. string.format('%.0f', ARGV[2] + 1))
`);
