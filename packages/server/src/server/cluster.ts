/**
 * The other nodes on the same log: who is there, by heartbeats over the log's signals; and what must reach sessions
 * wherever they are: signals of clients, and the end of a user's sessions. Nothing here is needed for records.
 */
import type { Env } from '../env.ts';
import { randomFraction, randomId } from '../env.ts';
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
}

export interface ClusterEvents {
  onSignal(signal: SentSignal): void;
  /** Returns how many sessions the user had here. */
  onDisconnect(user: string): number;
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
  /** Says goodbye: no client comes here any more. What others say is heard until the end. */
  leave(): void;
  close(): void;
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
  readonly events: ClusterEvents;
  readonly onTrouble: (error: unknown) => void;
}): Cluster {
  const { env, signals, events } = parts;
  const node = randomId(env);
  const peers = new Map<string, PeerNode>();
  /** Counts what is asked for, by question. */
  const counts = new Map<string, (node: string, sessions: number) => void>();
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

  function disconnect(user: string): Promise<number> {
    const ask = randomId(env);
    const awaited = new Set(peers.keys());
    const { promise, resolve } = Promise.withResolvers<number>();
    let sum = 0;
    const end = (): void => {
      cancel();
      counts.delete(ask);
      resolve(sum);
    };
    const cancel = env.setTimer(COUNT_MS, end);
    counts.set(ask, (from, sessions) => {
      sum += sessions;
      awaited.delete(from);
      if (awaited.size === 0) end();
    });
    say({ say: 'disconnect', node, user, ask });
    if (awaited.size === 0) end();
    return promise;
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
      case 'disconnected':
        return counts.get(message.ask)?.(message.node, message.sessions);
      case 'signal':
        return events.onSignal(message);
      default:
        return message satisfies never;
    }
  }

  function sayHere(word: 'here' | 'bye'): void {
    const { version, ticketKeyMark } = parts;
    say({ say: word, node, version, sessions: parts.sessions(), ticketKeyMark });
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
    leave,
    close() {
      isClosed = true;
      leave();
      stopListening?.();
    },
  };
}
