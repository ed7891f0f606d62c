/**
 * What the proof page says in words: from the server's deaths, the counters and the checker's verdict to one sentence
 * in the bar and a list of what happened. No DOM and no clock, so that it can be tested.
 */
import type { ServerStatus } from './page.ts';
import type { Sums } from './proof.ts';

/** `good`: all counters met; `wait`: they have not yet; `away`: no server; `bad`: a promise is broken. */
export type Tone = 'good' | 'wait' | 'away' | 'bad';

export interface Moment {
  readonly nowMs: number;
  readonly waiting: number;
  /** The sums to show: those of the last moment at which all counters were equal, or those of now. */
  readonly sums: Sums;
  /** When all counters were last equal. */
  readonly metMs: number | undefined;
}

export interface Judgement {
  readonly tone: Tone;
  readonly text: string;
}

/** Counters that were equal within this time have met: while records flow, they are never equal for long. */
export const MET_MS = 1_000;
/** So long the sentence about an outage stays. */
const HELD_MS = 20_000;

export class Story {
  readonly #say: (text: string, tone?: Tone) => void;
  #isServerUp = true;
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

  onServer({ state, pid }: ServerStatus, nowMs: number): void {
    if (state === 'down' && this.#isServerUp) {
      this.#isServerUp = false;
      this.#say('The server is dead: kill -9. Writing goes on; what is written waits in this page.');
    } else if (state === 'up' && !this.#isServerUp) {
      this.#isServerUp = true;
      this.#say(`The server is back as pid ${pid}. Readers rejoin where they were.`);
    }
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
        const what = this.#isServerUp ? 'Your network is cut' : 'The server is dead';
        return { tone: 'away', text: `${what}. ${waiting} ${waiting === 1 ? 'record waits' : 'records wait'} here.` };
      }
      if (metMs === undefined || metMs < startMs + backMs) return { tone: 'wait', text: 'Back. The counters meet …' };
      this.#outage = undefined;
      this.#held = { text: praise({ peak: outage.peak, backMs, sums }), untilMs: nowMs + HELD_MS };
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

  #look(nowMs: number): void {
    const isAway = !this.#isServerUp || this.#isCut;
    if (isAway) {
      this.#held = undefined;
      this.#outage ??= { startMs: nowMs, peak: 0, backMs: undefined };
      this.#outage.backMs = undefined;
    } else if (this.#outage !== undefined) this.#outage.backMs ??= nowMs - this.#outage.startMs;
  }
}

function praise({
  peak,
  backMs,
  sums,
}: {
  readonly peak: number;
  readonly backMs: number;
  readonly sums: Sums;
}): string {
  return (
    `Nothing lost: ${peak} waiting records stored once, ${sums.gaps} gaps, ${sums.duplicates} duplicates, ` +
    `back in ${(backMs / 1_000).toFixed(1)} s.`
  );
}
