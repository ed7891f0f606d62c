import { nats } from '../../../../scripts/brokers/nats.ts';
import { faultTest } from './testing/fault-test.ts';

faultTest(nats, 'broker connections cut');
faultTest(nats, 'broker emptied', 'told');
