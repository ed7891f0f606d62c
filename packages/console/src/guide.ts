/** The first minute: one sentence at a time says what to try next, and its button is marked. */
import { element, write } from './page.ts';

const ORDER = ['watch', 'kill', 'dead', 'second', 'under', 'tamper', 'end'] as const;
export type Step = (typeof ORDER)[number];

export interface Lesson {
  readonly text: string;
  /** The id of the button to press. */
  readonly button?: string;
}

const NUMBERS: Readonly<Record<Step, number>> = { watch: 1, kill: 2, dead: 2, second: 3, under: 3, tamper: 4, end: 5 };

const shared = {
  tamper: {
    text: 'A proof that cannot fail proves nothing. Press Tamper: one record is hidden from the SSE reader.',
    button: 'tamper',
  },
  end: {
    text: 'Now you know that it can fail. Start again, or take the lines below into your code.',
    button: 'again',
  },
} as const;

/** One server, its log on its own disk. */
const alone: Readonly<Record<Step, Lesson>> = {
  watch: {
    text: 'Twenty records a second go from this page into a log on disk, and from there to three readers. Type a word.',
  },
  kill: { text: 'Press Kill server. It is a real kill -9.', button: 'kill' },
  dead: { text: 'It is dead. Type on: what you write waits here with the rest.' },
  second: {
    text: 'Now press Slow me: the WebSocket reader gets 600 bytes a second, and nobody else waits for it.',
    button: 'slow',
  },
  under: { text: 'It falls behind; the others stay at 0. Let it go, and see it catch up.', button: 'slow' },
  ...shared,
};

/** One node or several on a broker. */
function together(broker: string, isMany: boolean): Readonly<Record<Step, Lesson>> {
  const way = isMany
    ? `through any node into one log on ${broker}, and from there through any node to three readers`
    : `into a log on ${broker}, and from there to three readers`;
  return {
    watch: { text: `Twenty records a second go from this page ${way}. Type a word.` },
    kill: {
      text: `Press Kill${isMany ? ' on a node with readers' : ''}: a real kill -9. Or Pause: it looks alive, and says nothing.`,
      button: 'kill-1',
    },
    dead: {
      text: isMany
        ? 'Its clients go on at another node, each at its own place. Wait for it to come back, or resume it.'
        : 'Type on: what you write waits here with the rest. Wait for it to come back, or resume it.',
    },
    second: { text: 'Now take the broker away: nothing can be stored then.', button: 'broker' },
    under: {
      text: 'It is away. Type on: what you write waits here with the rest. Then let it come back.',
      button: 'broker',
    },
    ...shared,
  };
}

export class Guide {
  readonly #lessons: Readonly<Record<Step, Lesson>>;
  #step: Step = 'watch';

  /** @param broker the name of the broker behind the nodes, where there is one */
  constructor({ broker, isMany }: { readonly broker: string | undefined; readonly isMany: boolean }) {
    this.#lessons = broker === undefined ? alone : together(broker, isMany);
    this.#show();
  }

  /** Goes on to a step that lies ahead; who jumps ahead is not called back. */
  reach(step: Step): void {
    if (ORDER.indexOf(step) <= ORDER.indexOf(this.#step)) return;
    this.#step = step;
    this.#show();
  }

  #show(): void {
    const { text, button } = this.#lessons[this.#step];
    write('step', `${NUMBERS[this.#step]} of 5`);
    write('caption', text);
    for (const marked of document.querySelectorAll('button.next')) marked.classList.remove('next');
    if (button !== undefined) element(button).classList.add('next');
  }
}
