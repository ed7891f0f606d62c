import { wireTests } from './testing/wire-tests.ts';

// Each connection and request lands on any of two workers.
const flags = ['--workers', '2', '--ping-ms', '3000', '--limits-appends-per-second', '3000'];
wireTests('a server of several processes', flags);
