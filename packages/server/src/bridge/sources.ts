/** The source of a bridge, by its broker; the client of the broker is loaded only then. */
import type { BridgeAddress } from './bridge-address.ts';
import type { Source } from './message.ts';

/** @param group the consumer group, durable consumer or queue that keeps the place */
export async function openSource(address: BridgeAddress, group: string): Promise<Source> {
  switch (address.broker) {
    case 'kafka': {
      const { openKafkaSource } = await import('./kafka-source.ts');
      return openKafkaSource(address, group);
    }
    case 'rabbitmq': {
      const { openRabbitmqSource } = await import('./rabbitmq-source.ts');
      return openRabbitmqSource(address, group);
    }
    case 'nats': {
      const { openNatsSource } = await import('./nats-source.ts');
      return openNatsSource(address, group);
    }
    case 'redis': {
      const { openRedisSource } = await import('./redis-source.ts');
      return openRedisSource(address, group);
    }
    default:
      return address satisfies never;
  }
}
