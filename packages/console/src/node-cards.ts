/** The nodes and their broker on the proof page: how each is doing, who is connected to it, and the buttons that break it. */
import { element, write } from './page.ts';
import { isServing, type BrokerStatus, type DemoStatus, type NodeStatus } from './status.ts';

/** Asks for something such as `nodes/1/kill`. */
export type Ask = (path: string) => void;

interface Card {
  readonly lamp: HTMLElement;
  readonly chip: HTMLElement;
  readonly detail: HTMLElement;
  readonly guests: HTMLElement;
  readonly buttons: readonly HTMLButtonElement[];
}

export class NodeCards {
  readonly #nodes: readonly Card[];
  readonly #broker: Card | undefined;
  /** Who of this page is connected, by the name it gives to the server. */
  readonly #guests: ReadonlyMap<string, string>;
  /** Where each was seen last: between two requests a client is nowhere. */
  readonly #places = new Map<string, number>();
  #last: DemoStatus | undefined;

  /** @param guests what each of this page's clients is called, by its instance */
  constructor(
    status: { readonly nodes: number; readonly broker?: BrokerStatus },
    guests: ReadonlyMap<string, string>,
    ask: Ask,
  ) {
    this.#guests = guests;
    const title = status.nodes === 1 ? 'One node and its log' : `${numberWord(status.nodes)} nodes, one log`;
    write('cluster-title', title);
    element('cluster').hidden = false;
    this.#nodes = Array.from({ length: status.nodes }, (_, index) => this.#nodeCard(index + 1, ask));
    if (status.broker !== undefined) this.#broker = this.#brokerCard(status.broker, ask);
  }

  /** The node that a client of this page is connected to, in words. */
  whereIs(instance: string): string {
    const n = this.#places.get(instance);
    return n === undefined ? 'on no node' : `on node ${n}`;
  }

  show(status: DemoStatus): void {
    this.#last = status;
    this.#find(status.nodes);
    status.nodes.forEach((node, index) => this.#showNode(node, index + 1));
    if (status.broker !== undefined) this.#showBroker(status.broker, this.#broker);
  }

  #find(nodes: readonly NodeStatus[]): void {
    for (const instance of this.#guests.keys()) {
      const found = nodes.findIndex(({ instances }) => instances.includes(instance));
      const before = nodes[(this.#places.get(instance) ?? 0) - 1];
      if (found >= 0) this.#places.set(instance, found + 1);
      else if (before === undefined || before.sessions === 0) this.#places.delete(instance);
    }
  }

  #nodeCard(n: number, ask: Ask): Card {
    const kill = buttonOf(`kill-${n}`, 'Kill', 'A real kill -9; it is started again at once.');
    kill.classList.add('danger');
    kill.addEventListener('click', () => ask(`nodes/${n}/kill`));
    const pause = buttonOf(`pause-${n}`, 'Pause', 'SIGSTOP: it keeps its connections and does nothing.');
    pause.addEventListener('click', () => {
      ask(`nodes/${n}/${this.#last?.nodes[n - 1]?.state === 'paused' ? 'resume' : 'pause'}`);
    });
    return cardOf(`Node ${n}`, [kill, pause]);
  }

  #brokerCard({ name, isOwn, refusal }: BrokerStatus, ask: Ask): Card {
    const why = isOwn
      ? `A real kill -9 of ${name}; its data stays.`
      : 'Closes the port to it and cuts every connection; the broker itself runs on.';
    const stop = buttonOf('broker', '', refusal ?? why);
    stop.addEventListener('click', () => ask(`broker/${this.#last?.broker?.state === 'up' ? 'stop' : 'start'}`));
    const card = cardOf(`Broker: ${name}`, [stop]);
    write(card.guests, refusal === undefined ? why : `It cannot be cut off: ${refusal}.`);
    return card;
  }

  #showNode({ state, pid, sessions }: NodeStatus, n: number): void {
    const card = this.#nodes[n - 1];
    if (card === undefined) return;
    showState(card, state === 'down' ? 'dead' : state);
    const count = `${sessions} ${sessions === 1 ? 'session' : 'sessions'}`;
    write(card.detail, pid === undefined ? 'no process' : `pid ${pid}, ${count}`);
    const here = [...this.#guests].filter(([instance]) => this.#places.get(instance) === n).map(([, name]) => name);
    write(card.guests, here.length === 0 ? 'nobody of this page' : here.join(', '));
    const [kill, pause] = card.buttons;
    if (kill === undefined || pause === undefined) return;
    const isPaused = state === 'paused';
    kill.disabled = !isPaused && !isServing({ state });
    pause.disabled = kill.disabled;
    pause.setAttribute('aria-pressed', String(isPaused));
    write(pause, isPaused ? 'Resume' : 'Pause');
    for (const button of [kill, pause]) button.setAttribute('aria-label', `${button.textContent} node ${n}`);
  }

  #showBroker({ state, pid, place, isOwn, refusal }: BrokerStatus, card: Card | undefined): void {
    const stop = card?.buttons[0];
    if (card === undefined || stop === undefined) return;
    showState(card, state !== 'down' ? state : isOwn ? 'dead' : 'cut off');
    write(card.detail, pid === undefined ? place : `pid ${pid}, ${place}`);
    const [off, on] = isOwn ? ['Stop broker', 'Start broker'] : ['Cut the broker off', 'Connect the broker again'];
    write(stop, state === 'up' ? off : on);
    stop.disabled = refusal !== undefined || state === 'starting';
    stop.setAttribute('aria-pressed', String(state !== 'up'));
  }
}

function showState(card: Card, state: string): void {
  write(card.chip, state);
  const isGone = state === 'dead' || state === 'cut off' || state === 'silent' || state === 'stopped';
  card.chip.dataset['state'] = state === 'up' ? 'live' : isGone ? 'offline' : state;
  card.lamp.dataset['state'] = state === 'up' ? 'up' : isGone ? 'down' : 'wait';
}

function cardOf(title: string, buttons: readonly HTMLButtonElement[]): Card {
  const part = (tag: string, className: string, text = ''): HTMLElement => {
    const made = document.createElement(tag);
    made.className = className;
    made.textContent = text;
    return made;
  };
  const [card, head, lamp] = [part('li', 'node'), part('p', 'head'), part('span', 'lamp')];
  const [chip, detail, guests] = [part('span', 'chip'), part('p', 'detail'), part('p', 'guests')];
  const row = part('div', 'buttons');
  lamp.setAttribute('aria-hidden', 'true');
  head.append(lamp, part('strong', 'name', title), chip);
  row.append(...buttons);
  card.append(head, detail, guests, row);
  element('nodes').append(card);
  return { lamp, chip, detail, guests, buttons };
}

function buttonOf(id: string, text: string, title: string): HTMLButtonElement {
  const button = document.createElement('button');
  button.type = 'button';
  button.id = id;
  button.title = title;
  button.textContent = text;
  return button;
}

function numberWord(count: number): string {
  return ['No', 'One', 'Two', 'Three', 'Four', 'Five', 'Six', 'Seven', 'Eight', 'Nine'][count] ?? String(count);
}
