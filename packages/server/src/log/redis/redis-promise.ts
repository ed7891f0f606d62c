/** What `stored` survives on a Redis with its settings, in words: asked of the servers, never guessed. */
import type { RedisConnection } from './redis-connection.ts';

/** How Redis keeps its append-only file, from weak to strong. */
const keepings = ['off', 'no', 'everysec', 'always'] as const;

export type RedisKeeping = (typeof keepings)[number];

const survives: Readonly<Record<RedisKeeping, string>> = {
  off: 'nothing but the moments at which Redis saves a snapshot: its append-only file is off (appendonly no)',
  no: 'usually the end of the Redis process; not the end of its machine, which may cost half a minute of records (appendfsync no)',
  everysec:
    'the end of the Redis process, save for up to two seconds while its disk is slow; the end of its machine may cost ' +
    'the last two seconds (appendfsync everysec)',
  always: 'the end of the Redis process and of its machine (appendfsync always)',
};

const unknown = 'what appendonly and appendfsync of the Redis servers say, which they do not tell this user';

/** The weakest of the servers decides; `undefined` where one does not tell. */
export async function askKeeping(connections: Iterable<RedisConnection>): Promise<RedisKeeping | undefined> {
  let weakest: RedisKeeping = 'always';
  for (const connection of connections) {
    const reply = await connection.command('CONFIG', 'GET', 'append*').catch(() => undefined);
    if (reply === undefined) return undefined;
    const settings = new Map<string, string>();
    const texts = (reply as readonly Buffer[]).map(String);
    for (let i = 0; i + 1 < texts.length; i += 2) settings.set(texts[i] as string, texts[i + 1] as string);
    const fsync = settings.get('appendfsync') as RedisKeeping | undefined;
    const keeping = settings.get('appendonly') === 'yes' ? (fsync ?? 'no') : 'off';
    if (keepings.indexOf(keeping) < keepings.indexOf(weakest)) weakest = keeping;
  }
  return weakest;
}

/** @param replicas how many must hold a record before it is stored */
export function storedSurvives(keeping: RedisKeeping | undefined, replicas: number): string {
  const own = keeping === undefined ? unknown : survives[keeping];
  const failover =
    replicas === 0
      ? 'a failover may lose what the new primary had not received'
      : `it was received by ${replicas} replica${replicas === 1 ? '' : 's'}, so a failover to one of these loses nothing`;
  return `${own}; ${failover}`;
}
