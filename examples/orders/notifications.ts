/** Notifications: tells each customer what became of an order. A customer who cannot be told does not stop the others. */
import { consume } from 'tideway/service';

const url = process.env['TIDEWAY_URL'] ?? 'http://localhost:3000';
const key = process.env['TIDEWAY_KEY'] ?? '';

interface Order {
  readonly order: string;
  readonly item: string;
  readonly state: 'placed' | 'reserved' | 'sold out';
}

const notifications = consume({
  url,
  key,
  group: 'notifications',
  channels: ['order:*'],
  retry: { attempts: 3, minMs: 100, maxMs: 1_000 },
  deadLetter: 'dead:notifications',
  async handle({ id, channel, data }) {
    const { order, item, state } = data as Order;
    if (state === 'placed') return;
    const customer = channel.slice('order:'.length);
    if (customer === 'cleo') throw new Error('the mailbox of cleo is full');
    const text = state === 'reserved' ? `Your ${item} is on its way.` : `Sorry, no ${item} today.`;
    // A record may come here twice; its id makes one notice of it.
    const response = await fetch(`${url}/v1/records?channel=notice:${customer}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'idempotency-key': id },
      body: JSON.stringify({ order, text }),
    });
    if (!response.ok) throw new Error(await response.text());
    console.log(`${customer}: ${text}`);
  },
});

process.once('SIGTERM', () => void notifications.close());
