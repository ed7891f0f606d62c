import { rabbitmq } from '../../../../scripts/brokers/rabbitmq.ts';
import { faultTest } from './testing/fault-test.ts';

faultTest(rabbitmq, 'broker connections cut');
faultTest(rabbitmq, 'broker emptied', 'told');
