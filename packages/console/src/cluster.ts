/** What has become of the nodes and of the broker behind them, in words: for the bar, and for the list of what happened. */
import { isServing, type BrokerStatus, type DemoStatus, type NodeStatus } from './status.ts';

type Life = 'up' | 'dead' | 'paused';

export class Cluster {
  #lives: readonly Life[] = [];
  #broker: BrokerStatus | undefined;

  /** Why nothing can be stored or read, if that is so. */
  get away(): string | undefined {
    if (this.#broker !== undefined && isDown(this.#broker)) {
      return this.#broker.isOwn ? 'The broker is dead' : 'The broker is cut off';
    }
    if (this.#lives.length === 0 || this.#lives.includes('up')) return undefined;
    if (this.#lives.length > 1) return 'No node is up';
    return this.#lives[0] === 'paused' ? 'The server is paused' : 'The server is dead';
  }

  /** Which nodes do not serve; `undefined` when all do. */
  get hurt(): string | undefined {
    const words = this.#lives.flatMap((life, index) => (life === 'up' ? [] : `node ${index + 1} is ${life}`));
    return words.length === 0 ? undefined : words.join(', ').replace('n', 'N');
  }

  /** Takes what the supervisor says; returns a sentence for each thing that happened. */
  take({ nodes, broker }: DemoStatus): readonly string[] {
    const before = this.#lives;
    this.#lives = nodes.map((node, index) => lifeOf(node) ?? before[index] ?? 'up');
    const sentences = nodes.flatMap((node, index) => {
      const [was = 'up', is] = [before[index], this.#lives[index]];
      return was === is ? [] : sentenceOf(node, is as Life, was, nodes.length === 1 ? '' : `Node ${index + 1}`);
    });
    const [wasAway, isAway] = [isDown(this.#broker), isDown(broker)];
    this.#broker = broker;
    if (broker !== undefined && isAway && !wasAway) sentences.push(goneOf(broker));
    else if (wasAway && !isAway) sentences.push('The broker is back. The nodes connect to it again.');
    return sentences;
  }
}

/** A node that starts is what it was before. */
function lifeOf(node: NodeStatus): Life | undefined {
  if (isServing(node)) return 'up';
  if (node.state === 'paused') return 'paused';
  return node.state === 'down' ? 'dead' : undefined;
}

function sentenceOf({ pid }: NodeStatus, is: Life, was: Life, node: string): string {
  const many = node !== '';
  const name = many ? node : 'The server';
  switch (is) {
    case 'dead':
      return `${name} is dead: kill -9. ${many ? 'Its clients move to the others.' : 'Writing goes on; what is written waits in this page.'}`;
    case 'paused':
      return `${name} is paused: SIGSTOP. ${many ? 'The balancer will notice that it does not answer.' : 'Writing goes on; what is written waits in this page.'}`;
    case 'up':
      if (was === 'paused') return `${name} goes on where it was paused.`;
      return `${name} is back as pid ${pid}. ${many ? 'It reads what it has missed.' : 'Readers rejoin where they were.'}`;
    default:
      return is satisfies never;
  }
}

function isDown(broker: BrokerStatus | undefined): boolean {
  return broker !== undefined && broker.state !== 'up';
}

function goneOf({ isOwn }: BrokerStatus): string {
  const what = isOwn
    ? 'The broker is dead: kill -9.'
    : 'The broker is cut off: its port is closed, every connection cut.';
  return `${what} Nothing can be stored; what is written waits in this page.`;
}
