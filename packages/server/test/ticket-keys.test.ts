/** Nodes of one log and the key of their tickets (HTTP-9): who has another one than the others is told. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { createServer, type LogLine } from 'tideway';
import { nats } from '../../../scripts/brokers/nats.ts';
import { requireService } from '../../../scripts/services.ts';
import { DEADLINE } from './peer.ts';

async function start(t: TestContext, log: string, ticketSecret?: string) {
  const data = await mkdtemp(join(tmpdir(), 'tideway-tickets-'));
  const lines: LogLine[] = [];
  const server = await createServer({
    log,
    data,
    auth: { ticketSecret },
    namespaces: { chat: { subscribe: 'anyone', append: 'anyone' } },
    logger: (line) => lines.push(line),
  });
  const { url } = await server.listen({ port: 0 });
  t.after(async () => {
    await server.close({ drainMs: 0 });
    await rm(data, { recursive: true, force: true, maxRetries: 20 });
  });
  const said = (wanted: string): readonly LogLine[] => lines.filter(({ event }) => event === wanted);
  return { url, said };
}

/** What the other node says to a ticket of the first. */
async function statusElsewhere(t: TestContext, from: string, to: string): Promise<number> {
  const made = await fetch(`${from}/v1/tickets`, { method: 'POST', body: '{"channels":["chat:1"]}' });
  const { ticket } = (await made.json()) as { ticket: string };
  const aborted = new AbortController();
  t.after(() => aborted.abort());
  const { signal } = aborted;
  return (await fetch(`${to}/v1/events?channel=chat:1&ticket=${ticket}`, { signal })).status;
}

test('nodes with keys of their own refuse each other’s tickets, and say what to set; with one secret neither', async (t) => {
  if (!requireService(t, nats.name, nats.missing() === undefined)) return;
  const broker = await nats.start();
  t.after(() => broker.stop());
  const first = await start(t, broker.url);
  assert.equal(first.said('node.other_ticket_key').length, 0);
  const second = await start(t, broker.url);
  for (const { said } of [first, second]) {
    await t.waitFor(() => assert.equal(said('node.other_ticket_key').length, 1), DEADLINE);
    const [line] = said('node.other_ticket_key');
    assert.equal(line?.level, 'warn');
    assert.match(line?.message ?? '', /set the same auth\.ticketSecret/);
  }
  assert.equal(await statusElsewhere(t, first.url, second.url), 401);

  const secret = 's'.repeat(32);
  const shared = new URL(broker.url.replace('/tideway?', '/shared?')).href;
  const [third, fourth] = [await start(t, shared, secret), await start(t, shared, secret)];
  for (const { said } of [third, fourth]) {
    await t.waitFor(() => assert.equal(said('node.joined').length, 1), DEADLINE);
    assert.equal(said('node.other_ticket_key').length, 0);
  }
  assert.equal(await statusElsewhere(t, third.url, fourth.url), 200);
});
