import { testFaultsBehind } from './balancer-faults.ts';

testFaultsBehind('haproxy-passthrough');
