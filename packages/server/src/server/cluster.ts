/**
 * The other nodes on the same log: who is there, by heartbeats over the log's signals; and what must reach sessions or
 * methods wherever they are: signals of clients, the end of a user's sessions, calls. Nothing here is needed for records.
 */
import { limits, timing } from '@tideway/protocol';
import type { Env } from '../env.ts';
import { randomFraction, randomId } from '../env.ts';
import { unanswered, type Call, type CallResult } from '../hub/call.ts';
import type { SentSignal } from '../hub/signal.ts';
import type { NodeSignals } from '../log/log.ts';
import { decodeNodeMessage, encodeNodeMessage, type NodeMessage } from './node-message.ts';

const BEAT_MS = 2_000;
/** A node not heard of for so long is gone. */
const GONE_MS = 10_000;
/** How long those that are known may take to say what was asked. */
const COUNT_MS = 2_000;

export interface PeerNode {
  readonly node: string;
  readonly version: string;
  readonly sessions: number;
  readonly heardMs: number;
  /** What it serves. */
  readonly methods: readonly string[];
}

export interface ClusterEvents {
  onSignal(signal: SentSignal): void;
  /** Returns how many sessions the user had here. */
  onDisconnect(user: string): number;
  /** Carries out a call that another node passes on; the signal is aborted when that waits no more. Never rejects. */
  onCall(call: Call, gone: AbortSignal): Promise<CallResult>;
  onPeer(change: 'node.joined' | 'node.left' | 'node.gone', peer: PeerNode): void;
  /** The first node was heard of that signs tickets with another key. */
  onOtherTicketKey(peer: PeerNode): void;
}

export interface Cluster {
  /** This node's id, new at each start. */
  readonly node: string;
  /** The others. */
  peers(): readonly PeerNode[];
  signal(signal: SentSignal): void;
  /** Ends a user's sessions on the other nodes; resolves with how many those had that say so in time. Never rejects. */
  disconnect(user: string): Promise<number>;
  /**
   * Passes a call on to one of the nodes that serve its method, once; `undefined` where none does. Resolves in the time
   * of a call, with `unanswered` where that node does not say what became of it. Never rejects.
   */
  call(call: Call, gone: AbortSignal): Promise<CallResult> | undefined;
  /** Says goodbye: no client comes here any more. What others say is heard until the end. */
  leave(): void;
  close(): void;
}

/** What a node says of what it was asked. */
type Answer = Extract<NodeMessage, { say: 'disconnected' | 'called' }>;

interface Question {
  readonly ask: string;
  end(): void;
}

/**
 * Listens as soon as the log can be reached.
 *
 * @param signals absent where the log has one process only: then there is nobody else
 */
export function joinCluster(parts: {
  readonly env: Env;
  readonly signals: NodeSignals | undefined;
  readonly version: string;
  readonly sessions: () => number;
  readonly ticketKeyMark: string;
  /** What this node serves. */
  readonly methods: readonly string[];
  /** The most that a record of the log may have: what nodes say to each other goes through the same broker. */
  readonly recordBytesMax: () => number;
  readonly events: ClusterEvents;
  readonly onTrouble: (error: unknown) => void;
}): Cluster {
  const { env, signals, events } = parts;
  const node = randomId(env);
  const peers = new Map<string, PeerNode>();
  /** Who waits for what others answer, by question. */
  const questions = new Map<string, (answer: Answer) => void>();
  /** Calls of other nodes that are under way here, by their question. */
  const served = new Map<string, AbortController>();
  let cancelBeat = (): void => {};
  let stopListening: (() => void) | undefined;
  let knowsOtherTicketKey = false;
  let hasLeft = false;
  let isClosed = false;

  function say(message: NodeMessage): void {
    signals?.signal('all', encodeNodeMessage(message));
  }

  function sayTo(other: string, message: NodeMessage): void {
    signals?.signal({ node: other }, encodeNodeMessage(message));
  }

  /** A question: what others answer to it is heard until it is ended, or its time is over. */
  function open(withinMs: number, onAnswer: (answer: Answer) => void, onEnd: () => void): Question {
    const ask = randomId(env);
    const end = (): void => {
      cancel();
      if (questions.delete(ask)) onEnd();
    };
    const cancel = env.setTimer(withinMs, end);
    questions.set(ask, onAnswer);
    return { ask, end };
  }

  function disconnect(user: string): Promise<number> {
    const awaited = new Set(peers.keys());
    const { promise, resolve } = Promise.withResolvers<number>();
    let sum = 0;
    const question = open(
      COUNT_MS,
      (answer) => {
        if (answer.say !== 'disconnected') return;
        sum += answer.sessions;
        awaited.delete(answer.node);
        if (awaited.size === 0) question.end();
      },
      () => resolve(sum),
    );
    say({ say: 'disconnect', node, user, ask: question.ask });
    if (awaited.size === 0) question.end();
    return promise;
  }

  function call(asked: Call, gone: AbortSignal): Promise<CallResult> | undefined {
    const { method, identity, encoding, payload } = asked;
    const serving = [...peers.values()].filter(({ methods }) => methods.includes(method));
    const peer = serving[Math.floor(randomFraction(env) * serving.length)];
    if (peer === undefined) return undefined;
    const { promise, resolve } = Promise.withResolvers<CallResult>();
    let result: CallResult = unanswered(method, `the node that serves it gave no answer within ${timing.callMs} ms`);
    const question = open(
      timing.callMs,
      (answer) => {
        if (answer.say !== 'called' || answer.node !== peer.node) return;
        ({ result } = answer);
        question.end();
      },
      () => {
        gone.removeEventListener('abort', giveUp);
        resolve(result);
      },
    );
    const giveUp = (): void => {
      sayTo(peer.node, { say: 'give-up', node, ask: question.ask });
      question.end();
    };
    const bytes = encodeNodeMessage({ say: 'call', node, ask: question.ask, method, identity, encoding, payload });
    const bytesMax = parts.recordBytesMax() + limits.headerBytes;
    if (bytes.length > bytesMax) {
      const message = `${method} is served by another node, to which its argument and who calls may take ${bytesMax} bytes together, got ${bytes.length}`;
      result = { code: 'too_large', message };
      question.end();
    } else {
      gone.addEventListener('abort', giveUp);
      signals?.signal({ node: peer.node }, bytes);
    }
    return promise;
  }

  /** Carries out what another node passed on. */
  async function serve(message: Extract<NodeMessage, { say: 'call' }>): Promise<void> {
    const { node: from, ask, method, identity, encoding, payload } = message;
    if (served.has(ask)) return;
    const gone = new AbortController();
    served.set(ask, gone);
    const result = await events.onCall({ method, identity, encoding, payload }, gone.signal);
    served.delete(ask);
    sayTo(from, { say: 'called', node, ask, result });
  }

  function receive(bytes: Buffer): void {
    const message = decodeNodeMessage(bytes);
    if (message === undefined || message.node === node) return;
    switch (message.say) {
      case 'here': {
        const isNew = !peers.has(message.node);
        const peer = { ...message, heardMs: env.monotonicMs() };
        peers.set(message.node, peer);
        if (!isNew) return;
        events.onPeer('node.joined', peer);
        const { ticketKeyMark = parts.ticketKeyMark } = message;
        if (!knowsOtherTicketKey && ticketKeyMark !== parts.ticketKeyMark) {
          knowsOtherTicketKey = true;
          events.onOtherTicketKey(peer);
        }
        // Whoever is new learns of the others at once.
        if (!hasLeft) sayHere('here');
        return;
      }
      case 'bye': {
        const peer = peers.get(message.node);
        if (peer !== undefined && peers.delete(message.node)) events.onPeer('node.left', peer);
        return;
      }
      case 'disconnect':
        return sayTo(message.node, {
          say: 'disconnected',
          node,
          ask: message.ask,
          sessions: events.onDisconnect(message.user),
        });
      case 'call':
        return void serve(message);
      case 'give-up':
        return served.get(message.ask)?.abort();
      case 'disconnected':
      case 'called':
        return questions.get(message.ask)?.(message);
      case 'signal':
        return events.onSignal(message);
      default:
        return message satisfies never;
    }
  }

  function sayHere(word: 'here' | 'bye'): void {
    const { version, ticketKeyMark, methods } = parts;
    say({ say: word, node, version, sessions: parts.sessions(), ticketKeyMark, methods });
  }

  function beat(): void {
    cancelBeat = env.setTimer(BEAT_MS * (0.75 + randomFraction(env) / 2), beat);
    const goneBefore = env.monotonicMs() - GONE_MS;
    for (const peer of peers.values()) {
      if (peer.heardMs >= goneBefore) continue;
      peers.delete(peer.node);
      events.onPeer('node.gone', peer);
    }
    sayHere('here');
  }

  function leave(): void {
    if (hasLeft) return;
    hasLeft = true;
    cancelBeat();
    sayHere('bye');
  }

  if (signals !== undefined) {
    void signals.onSignal(node, receive).then((stop) => {
      if (isClosed) return stop();
      stopListening = stop;
      if (!hasLeft) beat();
    }, parts.onTrouble);
  }
  return {
    node,
    peers: () => [...peers.values()],
    signal: (signal) => say({ say: 'signal', node, ...signal }),
    disconnect,
    call,
    leave,
    close() {
      isClosed = true;
      leave();
      stopListening?.();
    },
  };
}
