/** A topic of one partition through `@platformatic/kafka`: `send` with `acks` of all in sync, and a stream of messages. */
import { Admin, Consumer, MessagesStreamModes, ProduceAcks, Producer } from '@platformatic/kafka';
import { ridHeader, type OpenBareLog } from './bare-log.ts';

export const openBareKafka: OpenBareLog = async (url, place) => {
  const base = { clientId: 'bench', bootstrapBrokers: [new URL(url).host] };
  const producer = new Producer(base);
  const topic = 'own' in place ? place.own : place.log;
  const consumer = new Consumer({ ...base, groupId: `${topic}-readers` });
  if ('own' in place) {
    const admin = new Admin(base);
    if (!(await admin.listTopics()).includes(topic)) {
      await admin.createTopics({ topics: [topic], partitions: 1, replicas: 1 });
    }
    await admin.close();
  }
  let stream: Awaited<ReturnType<typeof consumer.consume>> | undefined;
  return {
    async append(records) {
      const messages = records.map(({ channel, rid, payload }) => ({
        topic,
        partition: 0,
        key: Buffer.from(channel),
        value: Buffer.from(payload),
        headers: new Map([[Buffer.from(ridHeader), Buffer.from(rid)]]),
      }));
      await producer.send({ messages, acks: ProduceAcks.ALL });
    },
    async read(onPayload) {
      const one = await consumer.consume({
        topics: [topic],
        mode: MessagesStreamModes.EARLIEST,
        autocommit: false,
        minBytes: 1,
      });
      stream = one;
      one.on('data', ({ value }) => onPayload(value));
    },
    async close() {
      await stream?.close();
      await consumer.close(true);
      await producer.close();
    },
  };
};
