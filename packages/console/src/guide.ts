/** The first minute: one sentence at a time says what to try next, and its button is marked. */
import { element, write } from './page.ts';

const STEPS = {
  watch: 'Twenty records a second go from this page into a log on disk, and from there to three readers. Type a word.',
  kill: 'Press Kill server. It is a real kill -9.',
  dead: 'It is dead. Type on: what you write waits here with the rest.',
  slow: 'Now press Slow me: the WebSocket reader gets 600 bytes a second, and nobody else waits for it.',
  fast: 'It falls behind; the others stay at 0. Let it go, and see it catch up.',
  tamper: 'A proof that cannot fail proves nothing. Press Tamper: one record is hidden from the SSE reader.',
  end: 'Now you know that it can fail. Start again, or take the lines below into your code.',
} as const;
export type Step = keyof typeof STEPS;

const NUMBERS: Readonly<Record<Step, number>> = { watch: 1, kill: 2, dead: 2, slow: 3, fast: 3, tamper: 4, end: 5 };
const BUTTONS: Partial<Readonly<Record<Step, string>>> = {
  kill: 'kill',
  slow: 'slow',
  fast: 'slow',
  tamper: 'tamper',
  end: 'again',
};

export class Guide {
  #step: Step = 'watch';

  constructor() {
    this.#show();
  }

  /** Goes on to a step that lies ahead; who jumps ahead is not called back. */
  reach(step: Step): void {
    const order = Object.keys(STEPS);
    if (order.indexOf(step) <= order.indexOf(this.#step)) return;
    this.#step = step;
    this.#show();
  }

  #show(): void {
    write('step', `${NUMBERS[this.#step]} of 5`);
    write('caption', STEPS[this.#step]);
    for (const button of document.querySelectorAll('button.next')) button.classList.remove('next');
    const next = BUTTONS[this.#step];
    if (next !== undefined) element(next).classList.add('next');
  }
}
