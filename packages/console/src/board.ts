/** The proof page's figures on the screen: the bar, the columns, the list of what happened. */
import type { Line } from './writer.ts';
import { element, write } from './page.ts';
import type { Sums } from './proof.ts';
import { READERS, type ReaderState } from './readers.ts';
import type { Tone } from './story.ts';

const EVENTS_MAX = 60;
const STRIP_MAX = 90;

/** A line more in the list of what happened, newest first. */
export function say(text: string, tone?: Tone): void {
  const item = document.createElement('li');
  if (tone !== undefined) item.dataset['tone'] = tone;
  const time = document.createElement('time');
  time.textContent = new Date().toLocaleTimeString();
  const words = document.createElement('span');
  words.textContent = text;
  item.append(time, words);
  const list = element('events');
  list.prepend(item);
  while (list.childElementCount > EVENTS_MAX) list.lastElementChild?.remove();
}

/** A piece more on the strip of the log. */
export function showStored({ text, yours }: Line, cursor: string): void {
  const piece = document.createElement('i');
  if (yours === true) piece.className = 'yours';
  const strip = element('strip');
  strip.append(piece);
  while (strip.childElementCount > STRIP_MAX) strip.firstElementChild?.remove();
  write('place', cursor);
  if (yours === true) write('typed', `“${text}” is stored at ${cursor}`);
}

export function showVerdict({ tone, text }: { readonly tone: Tone; readonly text: string }, sums: Sums): void {
  element('proof').dataset['tone'] = tone;
  element('again').hidden = tone !== 'bad';
  write('verdict', text);
  write('sum-written', sums.written.toLocaleString());
  write('sum-stored', sums.stored.toLocaleString());
  sums.seen.forEach((count, index) => write(`sum-seen-${index}`, count.toLocaleString()));
  write('sum-gaps', String(sums.gaps));
  write('sum-duplicates', String(sums.duplicates));
  sums.seen.forEach((count, index) => markEqual(`sum-seen-${index}`, count === sums.stored));
  markEqual('sum-stored', sums.stored === sums.written);
  const isOneOrder = sums.orders.every((order) => order === sums.orders[0]);
  write('sum-orders', isOneOrder || tone === 'bad' ? sums.orders.join(isOneOrder ? ' = ' : ' ≠ ') : 'on their way …');
}

/** The sign before a sum says whether it equals the one before it. */
function markEqual(id: string, isEqual: boolean): void {
  element(id).parentElement?.classList.toggle('differs', !isEqual);
}

export interface ReaderFigures {
  readonly state: ReaderState;
  /** The node it is connected to, where there are several. */
  readonly where: string | undefined;
  readonly seen: number;
  readonly behind: number;
  /** The hash over all of it. */
  readonly order: string;
}

/** A row per reader. */
export class ReaderRows {
  readonly #rows = READERS.map((name) => {
    const row = document.createElement('li');
    const part = (className: string, text = ''): HTMLElement => {
      const span = document.createElement('span');
      span.className = className;
      span.textContent = text;
      return span;
    };
    const [label, chip, where, count, order, behind] = [
      part('name', name),
      part('chip'),
      part('where'),
      part('figure'),
      part('detail'),
      part('detail'),
    ];
    label.append(chip, where);
    row.append(label, count, order, behind);
    element('readers').append(row);
    return { chip, where, count, order, behind };
  });

  show(index: number, reader: ReaderFigures): void {
    const row = this.#rows[index];
    if (row === undefined) return;
    write(row.chip, reader.state);
    row.chip.dataset['state'] = reader.state;
    write(row.where, reader.where ?? '');
    write(row.count, reader.seen.toLocaleString());
    write(row.behind, `${reader.behind} behind`);
    write(row.order, `order ${reader.order}`);
  }
}
