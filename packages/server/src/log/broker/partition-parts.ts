/** What everything that deals with one partition is given. */
import type { Env } from '../../env.ts';
import type { BrokerLink } from './broker-link.ts';
import type { BrokerPort } from './broker-port.ts';

export interface PartitionParts {
  readonly partition: number;
  readonly port: BrokerPort;
  readonly env: Env;
  readonly link: BrokerLink;
}
