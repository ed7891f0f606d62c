/** The page: for each customer what the three services say, in the order in which they said it, and what went wrong. */
import { connect } from '@tideway/client';
import type { Shop } from './contract.ts';

const customers = ['anna', 'ben', 'cleo'];
const client = connect<Shop>({ url: '/' });
const element = (id: string): HTMLElement => document.getElementById(id) as HTMLElement;
const select = (id: string): HTMLSelectElement => element(id) as HTMLSelectElement;

client.onState((state) => (element('state').textContent = state));

element('form').addEventListener('submit', (event) => {
  event.preventDefault();
  const order = new URLSearchParams({ customer: select('customer').value, item: select('item').value });
  void fetch(`/orders?${order}`, { method: 'POST' })
    .then(async (answer) =>
      answer.ok ? `order ${await answer.text()} is placed` : `not taken: ${await answer.text()}`,
    )
    .catch((error: Error) => `not sent: ${error.message}`)
    .then((text) => (element('answer').textContent = text));
});

const options = { from: 'oldest', onGap: () => location.reload() } as const;
for (const customer of customers) {
  select('customer').append(new Option(customer));
  const section = document.createElement('section');
  section.innerHTML = '<h2></h2><h3>Said of the orders</h3><ol></ol><h3>Told</h3><ol></ol>';
  element('customers').append(section);
  (section.firstElementChild as HTMLElement).textContent = customer;
  const [orders, notices] = section.querySelectorAll('ol') as unknown as [HTMLElement, HTMLElement];
  client
    .channel('order:{customer}', { customer })
    .on(options, ({ data }) => add(orders, `${data.order}: ${data.item} ${data.state}`));
  client.channel('notice:{customer}', { customer }).on(options, ({ data }) => add(notices, data.text));
}
client
  .channel('dead:{group}', { group: 'notifications' })
  .on(options, ({ data }) => add(element('dead'), `${data.channel}: ${data.error}`));

function add(list: HTMLElement, text: string): void {
  const line = document.createElement('li');
  line.textContent = text;
  list.append(line);
}
