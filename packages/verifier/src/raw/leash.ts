/** Loaded into a server that a suite starts: it ends when whoever started it is gone, however that came. */
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
process.channel?.unref();
