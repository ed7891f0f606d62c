/** The page of the chat: what was said, what is said, who types, and for each line of one's own whether it is stored. */
import { connect } from '@tideway/client';
import type { Chat } from './contract.ts';

const client = connect<Chat>({ url: '/' });
const room = client.channel('chat:{room}', { room: 'lobby' });

const element = (id: string): HTMLElement => document.getElementById(id) as HTMLElement;
const input = (id: string): HTMLInputElement => element(id) as HTMLInputElement;
input('name').value = `guest ${Math.ceil(Math.random() * 99)}`;

// Say something: the line is there at once, grey until it is stored.
const mine = new Map<string, HTMLElement>();
element('form').addEventListener('submit', (event) => {
  event.preventDefault();
  const data = { name: input('name').value, text: input('text').value };
  input('text').value = '';
  const receipt = room.append(data);
  const line = addLine(data);
  line.style.color = 'gray';
  mine.set(receipt.rid, line);
  receipt.catch((error: Error) => line.append(` (not sent: ${error.message})`));
});

// Typing: a signal is told to who is here now, and never stored.
element('text').addEventListener('input', () => room.signal({ name: input('name').value }, { key: 'typing' }));
let typing: ReturnType<typeof setTimeout> | undefined;
room.onSignal(({ data }) => {
  element('typing').textContent = `${data.name} is typing …`;
  clearTimeout(typing);
  typing = setTimeout(() => (element('typing').textContent = ''), 2_000);
});

client.onState((state) => (element('state').textContent = state));

// The last fifty, then what comes. After a reload, a dead network or a restart of the server: nothing twice, nothing missed.
for await (const record of room.read({ from: 'last:50', onGap: () => location.reload() })) {
  const own = record.rid === undefined ? undefined : mine.get(record.rid);
  if (own === undefined) addLine(record.data);
  else {
    own.style.color = '';
    element('lines').append(own); // its place among the others is known now
  }
}

function addLine({ name, text }: { readonly name: string; readonly text: string }): HTMLElement {
  const line = document.createElement('li');
  line.textContent = `${name}: ${text}`;
  element('lines').append(line);
  return line;
}
