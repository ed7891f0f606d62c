import { rabbitmqSuite } from './testing/rabbitmq-suite.ts';

rabbitmqSuite(4);
