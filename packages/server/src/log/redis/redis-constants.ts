/**
 * The constants of a log on Redis: a small JSON text beside the streams, the first one written wins. Epochs are not in
 * it: each lives in the stream it belongs to, so that it dies with it.
 */
import { BrokerError, type StoredConstants } from '../broker/broker-port.ts';
import type { RedisConnection } from './redis-connection.ts';

export interface RedisConstants {
  readonly window: number;
  readonly partitions: number;
}

/** Reads them; where there are none, writes the wanted ones. */
export async function openConstants(
  connection: RedisConnection,
  key: string,
  wanted: StoredConstants,
): Promise<RedisConstants> {
  const { format, window, partitions } = wanted;
  await connection.command('SET', key, JSON.stringify({ format, window, partitions: partitions.length }), 'NX');
  const text = String(await connection.command('GET', key));
  const stored = parseConstants(text);
  if (stored === undefined) {
    const message = `the key ${key} holds no constants of a log that this version knows; give the log another name`;
    throw new BrokerError(message, { isFinal: true });
  }
  return stored;
}

function parseConstants(text: string): RedisConstants | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const { format, window, partitions } = (value ?? {}) as Partial<Record<string, unknown>>;
  if (format !== 1 || !isCount(window) || !isCount(partitions)) return undefined;
  return { window, partitions };
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 1;
}
