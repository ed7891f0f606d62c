/** Redis Streams through `ioredis`: XADD pipelined as the client does it by itself, XREAD BLOCK in pages. */
import { Redis } from 'ioredis';
import { ridHeader, type OpenBareLog } from './bare-log.ts';

const PAGE = 1_000;
const BLOCK_MS = 1_000;

export const openBareRedis: OpenBareLog = async (url, place) => {
  const [writer, reader] = [new Redis(url), new Redis(url)];
  const [key, id] = 'own' in place ? [place.own, '*'] : [`{${place.log}:0}:records`, '0-*'];
  let isClosed = false;

  async function readOn(onPayload: (payload: Buffer) => void): Promise<void> {
    let after: Buffer = Buffer.from('0-0');
    while (!isClosed) {
      const reply = await reader.xreadBuffer('COUNT', PAGE, 'BLOCK', BLOCK_MS, 'STREAMS', key, after);
      for (const [, entries] of (reply ?? []) as unknown as [Buffer, [Buffer, Buffer[]][]][]) {
        for (const [at, fields] of entries) {
          onPayload(fields[3] as Buffer);
          after = at;
        }
      }
    }
  }

  return {
    async append(records) {
      await Promise.all(
        records.map(({ channel, rid, payload }) =>
          writer.xadd(key, id, 'channel', channel, 'value', payload, ridHeader, rid),
        ),
      );
    },
    async read(onPayload) {
      // A read that the closing cuts off is the end of it.
      void readOn(onPayload).catch((error: unknown) => {
        if (!isClosed) throw error;
      });
    },
    async close() {
      isClosed = true;
      writer.disconnect();
      reader.disconnect();
    },
  };
};
