/** The Kafka client: a package that only those need who keep a log on Kafka. */
import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import { BrokerError } from '../broker/broker-port.ts';
import type { BatchTools } from './record-batch.ts';

export type Kafka = typeof import('@platformatic/kafka');
export type { Connection, ConnectionOptions } from '@platformatic/kafka';

const name = '@platformatic/kafka';
/** What a compressed batch may become; nothing that a broker takes by default comes near. */
const BATCH_BYTES_MAX = 256 * 1024 * 1024;
const codecs = { gzip: 1, snappy: 2, lz4: 3, zstd: 4 } as const;

/** Rejects with what to install when it is not there. */
export async function loadKafka(load: () => Promise<Kafka> = () => import('@platformatic/kafka')): Promise<Kafka> {
  try {
    return await load();
  } catch (error) {
    const message = `a log on Kafka needs the package ${name}; install it with: npm install ${name}`;
    throw new BrokerError(message, { isFinal: true, cause: error });
  }
}

export function batchTools(kafka: Kafka): BatchTools {
  const { snappy, lz4 } = kafka.compressionsAlgorithms;
  return {
    crc32c: (bytes) => kafka.crc32c(bytes),
    decompress(codec, bytes) {
      switch (codec) {
        case codecs.gzip:
          return gunzipSync(bytes, { maxOutputLength: BATCH_BYTES_MAX });
        case codecs.zstd:
          return zstdDecompressSync(bytes, { maxOutputLength: BATCH_BYTES_MAX });
        case codecs.snappy:
          return snappy.decompressSync(bytes);
        case codecs.lz4:
          return lz4.decompressSync(bytes);
        default:
          throw new Error(`a batch is compressed in a way that is not known: ${codec}`);
      }
    },
  };
}
