/** The client of RabbitMQ: a package that only those need who keep a log there. */
import { BrokerError } from '../broker/broker-port.ts';
import { codeOf } from './rabbitmq-failure.ts';

type Amqplib = typeof import('amqplib');

/** Rejects with what to install when it is not there. */
export async function loadAmqplib(load: () => Promise<Amqplib> = () => import('amqplib')): Promise<Amqplib> {
  try {
    return await load();
  } catch (cause) {
    if (codeOf(cause) !== 'ERR_MODULE_NOT_FOUND') throw cause;
    const message = 'a log on RabbitMQ needs the package amqplib, which is not installed: npm install amqplib@2';
    throw new BrokerError(message, { isFinal: true, cause });
  }
}
