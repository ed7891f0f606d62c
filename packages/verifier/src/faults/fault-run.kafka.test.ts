import { kafka } from '../../../../scripts/brokers/kafka.ts';
import { faultTest } from './testing/fault-test.ts';

faultTest(kafka, 'broker connections cut');
faultTest(kafka, 'broker emptied', 'told');
