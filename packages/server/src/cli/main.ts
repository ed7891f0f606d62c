#!/usr/bin/env node
/** The program `tideway`. Sets what must be set before anything else is loaded, then hands over. */
import { enableCompileCache } from 'node:module';

enableCompileCache();
// LevelDB, the log's writes, DNS and zlib share these threads; four of them make a storm of reads delay every append.
process.env['UV_THREADPOOL_SIZE'] ??= '8';
const { runProcess } = await import('./run.ts');
await runProcess(process.argv.slice(2));
