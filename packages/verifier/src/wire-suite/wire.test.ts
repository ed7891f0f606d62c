import { wireTests } from './testing/wire-tests.ts';

// Pings and the append rate are set so that what they do can be seen in a short time.
wireTests('our server', ['--ping-ms', '1000', '--limits-appends-per-second', '3000']);
