/** A chat in two windows: history on scroll, typing signals, and messages typed offline that are sent later, once. */
import { connect } from '@tideway/client';
import { Cable } from './cable.ts';
import './chat.css';
import { MessageList, type Message } from './message-list.ts';
import { demoConfig, element, showState, watchServer, write } from './page.ts';

const NAMES = ['Ada', 'Bashir', 'Chen', 'Dilnoza', 'Émile', 'Fatou', 'Goran', 'Hana', 'Ines', 'João', 'Kofi', 'Liv'];
const PAGE = 30;
const TYPING_MS = 2_500;
/** A signal of typing is sent no more often than this. */
const TYPING_EVERY_MS = 800;
const NEAR_TOP_PX = 60;

const config = await demoConfig();
watchServer();
const cable = new Cable(config.server);
const client = connect({ url: config.server });
const channel = client.channel('chat:lobby');
const messages = new MessageList();
const name = element<HTMLInputElement>('name');
const text = element<HTMLInputElement>('text');

/** In turn, from a place of chance: two windows of one browser have two names. */
function nextName(): string {
  const turn = Number(localStorage.getItem('chat turn') ?? Math.floor(Math.random() * NAMES.length));
  localStorage.setItem('chat turn', String((turn + 1) % NAMES.length));
  return NAMES[turn] as string;
}

// A window beside the first is a frame of the same tab: it has the tab's storage, and needs a name of its own.
const isPane = new URLSearchParams(location.search).has('pane');
document.body.classList.toggle('pane', isPane);
const nameKey = isPane ? 'name beside' : 'name';
name.value = sessionStorage.getItem(nameKey) ?? nextName();
sessionStorage.setItem(nameKey, name.value);
name.addEventListener('change', () => sessionStorage.setItem(nameKey, name.value));

// Writing

let typedMs = -TYPING_EVERY_MS;
element('form').addEventListener('submit', (event) => {
  event.preventDefault();
  const words = text.value.trim();
  if (words === '') return;
  text.value = '';
  typedMs = -TYPING_EVERY_MS;
  const message: Message = { name: name.value.trim() || 'somebody', text: words };
  const receipt = channel.append(message);
  messages.addWaiting(receipt.rid, message);
  receipt.catch((error: Error) => messages.fail(receipt.rid, error.message));
});
window.addEventListener('beforeunload', (event) => {
  if (client.unsaved > 0) event.preventDefault();
});

text.addEventListener('input', () => {
  if (performance.now() - typedMs < TYPING_EVERY_MS) return;
  typedMs = performance.now();
  channel.signal({ name: name.value }, { key: 'typing' });
});
let typingTimer = 0;
let typingName = '';
channel.onSignal(({ data }) => {
  typingName = String((data as { readonly name?: unknown }).name);
  write('typing', `${typingName} is typing …`);
  window.clearTimeout(typingTimer);
  typingTimer = window.setTimeout(() => write('typing', ''), TYPING_MS);
});

const offline = element('offline');
offline.addEventListener('click', () => {
  if (cable.isPulled) cable.plugIn();
  else cable.pull();
  offline.setAttribute('aria-pressed', String(cable.isPulled));
  write(offline, cable.isPulled ? 'Come back' : 'Go offline');
  tellState();
});
function tellState(): void {
  showState(cable.isPulled ? 'offline' : client.state);
}
client.onState(tellState);

// The second window

const beside = element('beside');
beside.addEventListener('click', () => {
  const frame = document.querySelector('iframe');
  if (frame === null) {
    const pane = document.createElement('iframe');
    pane.src = '/chat.html?pane';
    pane.title = 'A second window of the chat';
    element('windows').append(pane);
  } else frame.remove();
  element('windows').classList.toggle('both', frame === null);
  beside.setAttribute('aria-pressed', String(frame === null));
  write(beside, frame === null ? 'Close the second window' : 'Second window beside this');
});

// Reading

let oldest: string | undefined;
let isLoading = false;
const list = element('messages');
list.addEventListener('scroll', () => {
  if (list.scrollTop < NEAR_TOP_PX) void showOlder();
});
async function showOlder(): Promise<void> {
  if (oldest === undefined || isLoading) return;
  isLoading = true;
  try {
    const page = await channel.history({ before: oldest, limit: PAGE });
    messages.addOlder(page.records);
    oldest = page.end ? undefined : page.first;
    if (page.end)
      messages.note(page.gap === undefined ? 'The beginning.' : 'What was before is no longer kept.', 'above');
  } catch {
    // Scrolling up once more tries again.
  } finally {
    isLoading = false;
  }
}

const onGap = (): void => messages.note('Some messages in between are no longer kept.', 'below');
let isFirst = true;
for await (const record of channel.read({ from: `last:${PAGE}`, onGap })) {
  if (isFirst) oldest = record.cursor;
  isFirst = false;
  messages.add(record);
  if ((record.data as Partial<Message> | null)?.name === typingName) write('typing', '');
}
