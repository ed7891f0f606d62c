/** Orders are taken by an Express application and told to every page. An order that is sent twice is one order. */
import express from 'express';
import { createServer } from 'tideway';

const live = await createServer({ namespaces: { orders: { subscribe: 'anyone', history: 'anyone' } } });
const orders = live.channel('orders:today');

const app = express();
app.use(express.json());
app.get('/', (_request, response) => response.sendFile('client.html', { root: import.meta.dirname }));
app.post('/orders', async (request, response) => {
  const { id, item } = (request.body ?? {}) as { readonly id?: unknown; readonly item?: unknown };
  if (typeof id !== 'string' || typeof item !== 'string') {
    response.status(400).json({ error: 'an order has an id and an item' });
    return;
  }
  // The order's own id makes the append repeatable: whoever got no answer sends the same order again.
  const { cursor, duplicate } = await orders.append({ id, item }, { rid: id });
  response.status(duplicate ? 200 : 201).json({ cursor });
});

const web = app.listen(Number(process.env['PORT'] ?? 3000), '127.0.0.1', () => {
  const address = web.address();
  if (typeof address === 'object') console.log(`open http://localhost:${address?.port}`);
});
live.attach(web);

process.once('SIGTERM', () => void live.close({ drainMs: 1_000 }).then(() => web.close()));
