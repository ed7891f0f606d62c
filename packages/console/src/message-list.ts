/**
 * The lines of the chat on the screen. A line of one's own is there at once and becomes the record of the same rid; the
 * log's order is everybody's order, so what still waits stands last.
 */
import type { ChannelRecord } from '@tideway/client';
import { element } from './page.ts';

export interface Message {
  readonly name: string;
  readonly text: string;
}

/** So near to the end somebody follows the talk, and is kept there. */
const FOLLOWS_PX = 80;

export class MessageList {
  readonly #list = element('messages');
  readonly #mine = new Set<string>();
  readonly #byRid = new Map<string, HTMLElement>();

  /** A line of one's own that waits. */
  addWaiting(rid: string, message: Message): void {
    this.#mine.add(rid);
    const line = this.#lineOf(rid, message);
    this.#setFate(line, 'waiting', 'waiting to be sent');
    this.#list.append(line);
    this.#toEnd();
  }

  /** It will never be stored, and why. */
  fail(rid: string, reason: string): void {
    const line = this.#byRid.get(rid);
    if (line !== undefined) this.#setFate(line, 'failed', `not sent: ${reason}`);
  }

  /** A record that came: the next in order. */
  add({ rid, data }: ChannelRecord): void {
    if (!isMessage(data)) return;
    const follows = this.#list.scrollHeight - this.#list.scrollTop - this.#list.clientHeight < FOLLOWS_PX;
    const known = rid === undefined ? undefined : this.#byRid.get(rid);
    const line = known ?? this.#lineOf(rid, data);
    line.classList.remove('waiting', 'failed');
    this.#list.append(line, ...this.#list.querySelectorAll('.waiting, .failed'));
    if (follows) this.#toEnd();
  }

  /** A page of older records, oldest first, above what is there; what is read stays where it is. */
  addOlder(records: readonly ChannelRecord[]): void {
    this.#putAbove(records.flatMap(({ rid, data }) => (isMessage(data) ? [this.#lineOf(rid, data)] : [])));
  }

  /** A sentence between the lines. */
  note(text: string, where: 'above' | 'below'): void {
    const note = document.createElement('li');
    note.className = 'note';
    note.textContent = text;
    if (where === 'above') this.#putAbove([note]);
    else this.#list.append(note);
  }

  #putAbove(items: readonly HTMLElement[]): void {
    const height = this.#list.scrollHeight;
    this.#list.prepend(...items);
    this.#list.scrollTop += this.#list.scrollHeight - height;
  }

  #lineOf(rid: string | undefined, message: Message): HTMLElement {
    document.querySelector('#empty')?.remove();
    const line = document.createElement('li');
    line.className = rid !== undefined && this.#mine.has(rid) ? 'message mine' : 'message';
    for (const [className, text] of [
      ['by', message.name],
      ['text', message.text],
      ['fate', ''],
    ] as const) {
      const part = document.createElement('div');
      part.className = className;
      part.textContent = text;
      line.append(part);
    }
    if (rid !== undefined) this.#byRid.set(rid, line);
    return line;
  }

  #setFate(line: HTMLElement, state: 'waiting' | 'failed', text: string): void {
    line.classList.remove('waiting', 'failed');
    line.classList.add(state);
    const fate = line.querySelector('.fate');
    if (fate !== null) fate.textContent = text;
  }

  #toEnd(): void {
    this.#list.scrollTop = this.#list.scrollHeight;
  }
}

/** `dev` lets anyone append anything here: what is no message is passed over. */
function isMessage(data: unknown): data is Message {
  if (typeof data !== 'object' || data === null) return false;
  return 'text' in data && typeof data.text === 'string' && 'name' in data && typeof data.name === 'string';
}
