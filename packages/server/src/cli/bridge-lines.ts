/** What `tideway bridge` says of one bridge: to people on stderr, as JSON on stdout. */
import type { ResolvedBridge } from '../bridge/bridge-options.ts';
import type { BridgeReport } from '../bridge/run-bridge.ts';
import type { Settled } from '../bridge/settler.ts';
import { nodeEnv } from '../env.ts';
import { type Io, printJson, say, visible } from './io.ts';

/** How often it says how many it moved, where it moved any. */
const EVERY_MS = 10_000;

export class BridgeLines implements BridgeReport {
  readonly #io: Io;
  readonly #bridge: ResolvedBridge;
  readonly #isJson: boolean;
  /** Kinds of dead letters that people were told of; each of them stands in the channel. */
  readonly #toldKinds = new Set<string>();
  #totals: Readonly<Settled> | undefined;
  #told = 0;
  #cancel: (() => void) | undefined;

  constructor(io: Io, bridge: ResolvedBridge, isJson: boolean) {
    this.#io = io;
    this.#bridge = bridge;
    this.#isJson = isJson;
  }

  state(state: 'ready' | 'standby'): void {
    const { direction, broker, group } = this.#bridge;
    const does = direction === 'in' ? 'reads' : 'writes to';
    const words = { ready: `${does} ${broker.place} as ${group}`, standby: 'waits: another copy is at work' };
    if (this.#isJson) this.#event(state, { [direction === 'in' ? 'from' : 'to']: broker.place, group });
    else this.#say(words[state]);
  }

  waits(at: 'broker' | 'node', why: string | undefined): void {
    if (this.#isJson) this.#event(why === undefined ? 'resumed' : 'waiting', { at, ...(why && { reason: why }) });
    else this.#say(why === undefined ? `the ${at} is back` : `waits for the ${at} and tries again: ${why}`);
  }

  dead(place: string, code: string | undefined, why: string): void {
    if (this.#isJson) return this.#event('dead', { code, reason: why, place });
    const kind = code ?? 'unwritable';
    if (this.#toldKinds.has(kind)) return;
    this.#toldKinds.add(kind);
    this.#say(
      `dead letter in ${this.#bridge.deadLetter}: ${why} (${kind}; ${place}); more of this kind are only counted`,
    );
  }

  gap(reason: string, channel: string | undefined): void {
    if (this.#isJson) return this.#event('gap', { reason, channel });
    this.#say(`records of ${channel ?? 'some channels'} will not come: ${reason}`);
  }

  /** Says from time to time how these have grown. */
  watch(totals: Readonly<Settled>): void {
    this.#totals = totals;
    this.#cancel = nodeEnv.setTimer(EVERY_MS, () => {
      if (this.#sum() !== this.#told) this.#count('moved');
      this.watch(totals);
    });
  }

  end(): void {
    this.#cancel?.();
    this.#count('ended');
  }

  #count(event: 'moved' | 'ended'): void {
    const { stored, duplicates, dead } = this.#totals ?? { stored: 0, duplicates: 0, dead: 0 };
    this.#told = this.#sum();
    if (this.#isJson) return this.#event(event, { stored, duplicates, dead });
    const again = duplicates === 0 ? '' : `, ${duplicates} of all there already`;
    this.#say(`${event === 'ended' ? 'ended: ' : ''}${stored} stored, ${dead} dead letters${again}`);
  }

  #sum(): number {
    const { stored, dead } = this.#totals ?? { stored: 0, dead: 0 };
    return stored + dead;
  }

  #event(event: string, more: object): void {
    void printJson(this.#io, { event, bridge: this.#bridge.name, ...more });
  }

  #say(text: string): void {
    say(this.#io, `${this.#bridge.name}: ${visible(text)}`);
  }
}
