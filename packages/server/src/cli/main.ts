#!/usr/bin/env node
/**
 * The command line: finds the command, runs it, turns what it throws into words and an exit code. Each command is a file
 * of its own, loaded only when it is asked for.
 */
import { enableCompileCache } from 'node:module';

enableCompileCache();
// LevelDB, the log's writes, DNS and zlib share these threads; four of them make a storm of reads delay every append.
process.env['UV_THREADPOOL_SIZE'] ??= '8';

const { run } = await import('./run.ts');
process.exitCode = await run(process.argv.slice(2), {
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  environment: process.env,
});
