/** JetStream through `@nats-io`: publishes that wait for their acknowledgement, and an ordered consumer that pulls ahead. */
import { DeliverPolicy, jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect, headers } from '@nats-io/transport-node';
import { ridHeader, type OpenBareLog } from './bare-log.ts';

const AHEAD = 1_000;

export const openBareNats: OpenBareLog = async (url, place) => {
  const connection = await connect({ servers: new URL(url).host });
  const manager = await jetstreamManager(connection);
  const js = jetstream(connection);
  const stream = 'own' in place ? place.own : '';
  if (stream !== '') await manager.streams.add({ name: stream, subjects: [`${stream}.*`] });
  const subjectOf = (channel: string): string =>
    'own' in place ? `${stream}.${channel}` : `${place.log}.0.${channel}`;
  return {
    async append(records) {
      await Promise.all(
        records.map(({ channel, rid, payload }) => {
          const head = headers();
          head.set(ridHeader, rid);
          return js.publish(subjectOf(channel), payload, { headers: head });
        }),
      );
    },
    async read(onPayload) {
      const consumer = await js.consumers.get(stream, { deliver_policy: DeliverPolicy.All });
      await consumer.consume({ max_messages: AHEAD, callback: (message) => onPayload(message.data as Buffer) });
    },
    async close() {
      await connection.close();
    },
  };
};
