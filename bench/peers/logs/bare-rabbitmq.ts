/** A RabbitMQ stream through `amqplib`: a channel with confirms, and a consumer with prefetch that acknowledges in hundreds. */
import { connect } from 'amqplib';
import { ridHeader, type OpenBareLog } from './bare-log.ts';

const AHEAD = 1_000;
const ACKNOWLEDGED = 250;

export const openBareRabbitmq: OpenBareLog = async (url, place) => {
  const model = await connect(url, { noDelay: true });
  const channel = await model.createConfirmChannel();
  const queue = 'own' in place ? place.own : '';
  if (queue !== '') await channel.assertQueue(queue, { durable: true, arguments: { 'x-queue-type': 'stream' } });
  const [exchange, key] = 'own' in place ? ['', queue] : [place.log, '0'];
  return {
    async append(records) {
      for (const { channel: name, rid, payload } of records) {
        const headers = { 'tideway-channel': name, [ridHeader]: rid };
        channel.publish(exchange, key, Buffer.from(payload), { headers, deliveryMode: 2 });
      }
      await channel.waitForConfirms();
    },
    async read(onPayload) {
      const reader = await model.createChannel();
      await reader.prefetch(AHEAD);
      let count = 0;
      const take: Parameters<typeof reader.consume>[1] = (message) => {
        if (message === null) throw new Error('the stream was removed');
        onPayload(message.content);
        if (++count % ACKNOWLEDGED === 0) reader.ack(message, true);
      };
      await reader.consume(queue, take, { arguments: { 'x-stream-offset': 'first' } });
    },
    async close() {
      await model.close();
    },
  };
};
