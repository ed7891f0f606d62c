/** A chat in two windows: history on scroll, typing signals, and messages typed offline that are sent later, once. */
import { connect, type ChannelRecord } from '@tideway/client';
import { demoConfig, element, randomName, watchServer } from './page.ts';

interface Message {
  readonly name: string;
  readonly text: string;
}

const TYPING_MS = 2_500;
const PAGE = 30;

const config = await demoConfig();
watchServer();
const client = connect({ url: config.server });
const channel = client.channel('chat:lobby');
const list = element('messages');
const name = element<HTMLInputElement>('name');
const text = element<HTMLInputElement>('text');
const mine = new Set<string>();
const shown = new Map<string, HTMLElement>();
let first: string | undefined;
let isComplete = false;
let isOffline = false;

name.value = sessionStorage.getItem('name') ?? `guest-${randomName().slice(0, 4)}`;
sessionStorage.setItem('name', name.value);
name.addEventListener('change', () => sessionStorage.setItem('name', name.value));
element('who').addEventListener('submit', (event) => event.preventDefault());

function bubble(rid: string, message: Message): HTMLElement {
  const item = document.createElement('div');
  item.className = mine.has(rid) ? 'message mine' : 'message';
  const who = document.createElement('div');
  who.className = 'who';
  who.textContent = message.name;
  const body = document.createElement('div');
  body.textContent = message.text;
  item.append(who, body);
  return item;
}

/** Shows a record; the optimistic line of the same rid becomes it. */
function show({ rid = '', data }: ChannelRecord, where: 'end' | 'start'): void {
  const message = data as Message;
  if (typeof message?.text !== 'string') return;
  const known = shown.get(rid);
  if (known !== undefined) {
    known.classList.remove('waiting');
    // The order of the log is everybody's order.
    if (where === 'end') list.append(known, ...list.querySelectorAll('.waiting'));
    return;
  }
  const item = bubble(rid, message);
  shown.set(rid, item);
  if (where === 'start') list.prepend(item);
  else list.append(item, ...list.querySelectorAll('.waiting'));
}

function isAtEnd(): boolean {
  return list.scrollHeight - list.scrollTop - list.clientHeight < 80;
}

element('form').addEventListener('submit', (event) => {
  event.preventDefault();
  const value = text.value.trim();
  if (value === '') return;
  text.value = '';
  const message: Message = { name: name.value || 'guest', text: value };
  const receipt = channel.append(message);
  mine.add(receipt.rid);
  const item = bubble(receipt.rid, message);
  item.classList.add('waiting');
  shown.set(receipt.rid, item);
  list.append(item);
  list.scrollTop = list.scrollHeight;
  receipt.catch((error: Error) => {
    item.classList.add('waiting');
    item.title = error.message;
  });
});

text.addEventListener('input', () => channel.signal({ name: name.value }));
let typingTimer = 0;
channel.onSignal(({ data }) => {
  element('typing').textContent = `${(data as { name?: string }).name ?? 'somebody'} is typing …`;
  window.clearTimeout(typingTimer);
  typingTimer = window.setTimeout(() => (element('typing').textContent = '\u00a0'), TYPING_MS);
});

list.addEventListener('scroll', () => {
  if (list.scrollTop < 60) void older();
});
let isLoading = false;
async function older(): Promise<void> {
  if (first === undefined || isComplete || isLoading) return;
  isLoading = true;
  try {
    const page = await channel.history({ before: first, limit: PAGE });
    const height = list.scrollHeight;
    for (const record of page.records.toReversed()) show(record, 'start');
    first = page.first;
    isComplete = page.end;
    list.scrollTop += list.scrollHeight - height;
  } catch {
    // Scrolling up once more tries again.
  } finally {
    isLoading = false;
  }
}

element('offline').addEventListener('click', () => {
  isOffline = !isOffline;
  element('offline').setAttribute('aria-pressed', String(isOffline));
  element('offline').textContent = isOffline ? 'Come back' : 'Go offline';
  keepOffline();
});
/** Offline as a network is: the server cuts this window's connection whenever it comes. */
function keepOffline(): void {
  if (!isOffline) return;
  void fetch(`${config.server}/v1/faults?instance=${client.instance}`, { method: 'POST', body: '{"cut":true}' }).catch(
    () => {},
  );
  window.setTimeout(keepOffline, 150);
}

client.onState((state) => {
  const words = isOffline ? 'offline' : state;
  element('state').textContent = words;
  element('state').dataset['state'] = words;
});

for await (const record of channel.read({ from: `last:${PAGE}`, onGap: 'continue' })) {
  first ??= record.cursor;
  const follow = isAtEnd();
  show(record, 'end');
  if (follow) list.scrollTop = list.scrollHeight;
}
