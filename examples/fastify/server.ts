/** A long job whose progress is a channel: the page that started it, or any other, follows it from wherever it was. */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import fastify from 'fastify';
import { createServer } from 'tideway';

const STEPS = 10;

const live = await createServer({ namespaces: { job: { subscribe: 'anyone', history: 'anyone' } } });
const page = readFileSync(new URL('client.html', import.meta.url));

const app = fastify();
app.get('/', (_request, reply) => reply.type('text/html; charset=utf-8').send(page));
app.post('/jobs', (_request, reply) => {
  const channel = `job:${randomUUID()}`;
  work(channel).catch((error: unknown) => console.error(error));
  // The request is over at once; the job goes on.
  return reply.code(202).send({ channel });
});

async function work(name: string): Promise<void> {
  const channel = live.channel(name);
  for (let step = 1; step <= STEPS; step++) {
    await delay(Number(process.env['STEP_MS'] ?? 500));
    await channel.append({ step, of: STEPS });
  }
}

live.attach(app.server);
// An address: for a name such as localhost Fastify may open further servers, which know nothing of Tideway.
const url = await app.listen({ port: Number(process.env['PORT'] ?? 3000), host: '127.0.0.1' });
console.log(`open ${url}`);

process.once('SIGTERM', () => void live.close({ drainMs: 1_000 }).then(() => app.close()));
