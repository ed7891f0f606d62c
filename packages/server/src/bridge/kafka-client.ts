/** How a bridge connects to Kafka: with the login and the certificates of its address, through the client's own groups. */
import { isIP } from 'node:net';
import type { BaseOptions } from '@platformatic/kafka';
import type { KafkaAddress } from '../log/kafka/kafka-address.ts';
import { connectionOptions } from '../log/kafka/kafka-cluster.ts';

/** Joining a group waits at the broker for members that are gone: twice the time after which they are. */
const ANSWER_MS = 20_000;
export const KAFKA_CLOSE_MS = 5_000;

export function kafkaClientOptions(at: KafkaAddress): BaseOptions {
  return {
    clientId: 'tideway',
    bootstrapBrokers: at.brokers.map(({ host, port }) => ({ host, port })),
    ...connectionOptions(at),
    requestTimeout: ANSWER_MS,
    timeout: ANSWER_MS,
    ...(at.tls !== undefined && { tlsServerName: at.brokers.every(({ host }) => isIP(host) === 0) }),
  };
}
