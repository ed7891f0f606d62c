/**
 * What the proof page says in words: from what happens to nodes and broker, the counters and the checker's verdict to one
 * sentence in the bar and a list of what happened. No DOM and no clock, so that it can be tested.
 */
import { Cluster } from './cluster.ts';
import type { DemoStatus } from './status.ts';
import type { Sums } from './proof.ts';

/** `good`: all counters met; `wait`: they have not yet; `away`: nobody serves; `bad`: a promise is broken. */
export type Tone = 'good' | 'wait' | 'away' | 'bad';

export interface Moment {
  readonly nowMs: number;
  readonly waiting: number;
  /** The sums to show: those at which the counters met last, or those of now. */
  readonly sums: Sums;
  /** Everything written by then is stored and was seen by all. */
  readonly metMs: number | undefined;
}

export interface Judgement {
  readonly tone: Tone;
  readonly text: string;
}

/** So old may be what the bar speaks of: twice what a record takes to all readers on a very busy machine. */
export const MET_MS = 2_000;
/** Who has waited for longer than this after all was back wants to know what for. */
const LATER_MS = 1_000;
/** So long the sentence about an outage stays. */
const HELD_MS = 20_000;

export class Story {
  readonly #say: (text: string, tone?: Tone) => void;
  readonly #cluster = new Cluster();
  #isCut = false;
  /** From the first thing that broke until the counters have met again. */
  #outage: { readonly startMs: number; peak: number; backMs: number | undefined } | undefined;
  #held: { readonly text: string; readonly untilMs: number } | undefined;
  #isBroken = false;

  constructor(say: (text: string, tone?: Tone) => void) {
    this.#say = say;
  }

  get isOutage(): boolean {
    return this.#outage !== undefined;
  }

  /** Nothing can be stored: no node, no broker or no network. */
  get isAway(): boolean {
    return this.#isCut || this.#cluster.away !== undefined;
  }

  onStatus(status: DemoStatus, nowMs: number): void {
    for (const text of this.#cluster.take(status)) this.#say(text);
    this.#look(nowMs);
  }

  onCable(isCut: boolean, nowMs: number): void {
    this.#isCut = isCut;
    this.#say(isCut ? 'Your network is cut: nothing reaches this page or leaves it.' : 'Your network is back.');
    this.#look(nowMs);
  }

  /** The bar's sentence and colour at this moment. */
  judge({ nowMs, waiting, sums, metMs }: Moment): Judgement {
    if (sums.violation !== undefined) {
      const text = `Broken: ${sums.violation.text}`;
      if (!this.#isBroken) this.#say(text, 'bad');
      this.#isBroken = true;
      return { tone: 'bad', text };
    }
    const outage = this.#outage;
    if (outage !== undefined) {
      outage.peak = Math.max(outage.peak, waiting);
      const { startMs, backMs } = outage;
      if (backMs === undefined) {
        const hasMet = metMs !== undefined && metMs >= startMs && nowMs - metMs < MET_MS;
        return this.#judgeOutage(waiting, hasMet);
      }
      if (metMs === undefined || metMs < startMs + backMs) return { tone: 'wait', text: 'Back. The counters meet …' };
      this.#outage = undefined;
      this.#held = {
        text: praise({ peak: outage.peak, backMs, laterMs: nowMs - startMs - backMs, sums }),
        untilMs: nowMs + HELD_MS,
      };
      this.#say(this.#held.text, 'good');
    }
    if (metMs === undefined) return { tone: 'wait', text: 'The first records are on their way …' };
    if (nowMs - metMs >= MET_MS) return { tone: 'wait', text: 'Catching up …' };
    if (sums.orders.some((order) => order !== sums.orders[0])) {
      return { tone: 'bad', text: 'Broken: the readers saw different orders.' };
    }
    if (sums.gaps > 0)
      return { tone: 'wait', text: 'A reader was told of a gap: it came back too late for some records.' };
    if (this.#held !== undefined && nowMs < this.#held.untilMs) return { tone: 'good', text: this.#held.text };
    return { tone: 'good', text: 'Written = stored = seen. 0 gaps, 0 duplicates, one order for all.' };
  }

  #judgeOutage(waiting: number, hasMet: boolean): Judgement {
    const what = this.#cluster.away ?? (this.#isCut ? 'Your network is cut' : undefined);
    if (what !== undefined) {
      return {
        tone: 'away',
        text: `${what}. ${waiting.toLocaleString()} ${waiting === 1 ? 'record waits' : 'records wait'} here.`,
      };
    }
    const hurt = this.#cluster.hurt ?? '';
    if (!hasMet) return { tone: 'wait', text: `${hurt}. Its clients move to another node …` };
    return { tone: 'good', text: `${hurt}; the rest serves. Written = stored = seen. 0 gaps, 0 duplicates.` };
  }

  #look(nowMs: number): void {
    if (this.isAway || this.#cluster.hurt !== undefined) {
      this.#held = undefined;
      this.#outage ??= { startMs: nowMs, peak: 0, backMs: undefined };
      this.#outage.backMs = undefined;
    } else if (this.#outage !== undefined) this.#outage.backMs ??= nowMs - this.#outage.startMs;
  }
}

interface Recovery {
  readonly peak: number;
  /** From the first thing that broke until all was up. */
  readonly backMs: number;
  /** From then until the counters had met. */
  readonly laterMs: number;
  readonly sums: Sums;
}

function praise({ peak, backMs, laterMs, sums }: Recovery): string {
  const inSeconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`;
  const later = laterMs < LATER_MS ? '' : `, all stored and seen ${inSeconds(laterMs)} later`;
  return (
    `Nothing lost: ${peak.toLocaleString()} waiting records stored once, ${sums.gaps} gaps, ${sums.duplicates} duplicates, ` +
    `back in ${inSeconds(backMs)}${later}.`
  );
}
