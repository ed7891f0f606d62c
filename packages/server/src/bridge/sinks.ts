/** The sink of a bridge, by its broker; the client of the broker is loaded only then. */
import type { BridgeAddress } from './bridge-address.ts';
import type { Sink } from './sink.ts';

export async function openSink(address: BridgeAddress): Promise<Sink> {
  switch (address.broker) {
    case 'kafka': {
      const { openKafkaSink } = await import('./kafka-sink.ts');
      return openKafkaSink(address);
    }
    case 'rabbitmq': {
      const { openRabbitmqSink } = await import('./rabbitmq-sink.ts');
      return openRabbitmqSink(address);
    }
    case 'nats': {
      const { openNatsSink } = await import('./nats-sink.ts');
      return openNatsSink(address);
    }
    case 'redis': {
      const { openRedisSink } = await import('./redis-sink.ts');
      return openRedisSink(address);
    }
    default:
      return address satisfies never;
  }
}
