/**
 * Writes to one partition: one batch on its way, what comes meanwhile is the next. Where it is not known what became
 * of a batch, the writer looks for it on the node's own follower, and repeats what it does not find, while a repeat
 * can still be told from a second record.
 */
import { timing } from '@tideway/protocol';
import type { AppendOutcome, PhysicalRecord } from '../log.ts';
import { OwnRecords } from './own-records.ts';
import type { PartitionFeed } from './partition-feed.ts';
import type { PartitionParts } from './partition-parts.ts';
import { isToBeSentAgain, WriteQueue, type AppendCall, type QueueRoom, type Sending } from './write-queue.ts';

export interface WriterParts extends PartitionParts {
  readonly feed: PartitionFeed;
  readonly room: QueueRoom;
  /** W: a repeat is only made while fewer than half of it passed. */
  readonly window: number;
  nextTicket(): string;
}

/** The broker is not asked to answer an attempt any faster than this: what has less time left was not sent. */
const ATTEMPT_MS_MIN = 100;
/** An attempt leaves time for another one. */
const ATTEMPT_MS_MAX = timing.appendMs / 2;
const SWEEP_MS = 1_000;
const STORED: AppendOutcome = { state: 'stored' };

export class PartitionWriter {
  readonly #parts: WriterParts;
  readonly #queue: WriteQueue;
  readonly #own: OwnRecords<Sending>;
  #isRunning = false;
  #isSweeping = false;
  /** Counts how often the partition did not go on from where it was: what was begun before is not repeated. */
  #fails = 0;
  /** Behind so many interruptions of following everything confirmed was found to be there. */
  #sureOf = 0;
  #onIdle: (() => void)[] = [];

  constructor(parts: WriterParts) {
    this.#parts = parts;
    this.#queue = new WriteQueue(parts.room);
    this.#own = new OwnRecords((sending) => this.#answer(sending, STORED));
    parts.feed.onHanded = (tickets) => this.#own.handed(tickets);
    parts.feed.onNoTails = () => this.#own.handedAll();
    parts.feed.onFail = () => this.#onFail();
  }

  add(record: PhysicalRecord, call: AppendCall, slot: number): void {
    const untilMs = this.#parts.env.monotonicMs() + timing.appendMs;
    this.#queue.add(record, { call, slot }, { untilMs, nextTicket: this.#parts.nextTicket });
    this.start();
  }

  /** Sends what waits, where nothing else is on its way. */
  start(): void {
    if (this.#isRunning || this.#queue.isEmpty || !this.#parts.link.isUp) return;
    this.#isRunning = true;
    this.#parts.env.endOfTick(() => void this.#run());
  }

  /** Answers everything that was not sent yet. */
  refuseWaiting(outcome: AppendOutcome): void {
    for (const sending of this.#queue.takeAll()) this.#answer(sending, outcome);
  }

  /** Confirmed records that will not be handed over any more. */
  giveUpWaiting(): void {
    this.#giveUp(this.#own.overdue(Number.POSITIVE_INFINITY));
  }

  /** Resolves once everything is answered. */
  async idle(): Promise<void> {
    while (!this.#isIdle) await new Promise<void>((resolve) => this.#onIdle.push(resolve));
  }

  get #isIdle(): boolean {
    return !this.#isRunning && this.#queue.isEmpty && !this.#own.isWaiting;
  }

  async #run(): Promise<void> {
    while (this.#parts.link.isUp && !this.#queue.isEmpty) {
      await this.#beSure();
      const batch = this.#queue.take();
      if (batch.length === 0) break;
      const untilMs = oldestOf(batch);
      if (untilMs - this.#parts.env.monotonicMs() < ATTEMPT_MS_MIN) {
        const message = `the broker ${this.#parts.port.place} did not take what stood before it in time`;
        const outcome: AppendOutcome = { state: 'refused', code: 'not_durable', message };
        for (const sending of batch) this.#answer(sending, outcome);
        this.refuseWaiting(outcome);
        continue;
      }
      for (const sending of batch) this.#own.add(sending);
      await this.#write(batch, untilMs);
    }
    this.#isRunning = false;
    // Something may have come, or the connection, since the loop ended.
    this.start();
    this.#look();
  }

  /** Where following was interrupted, nothing is written before it is known that what was confirmed is still there. */
  async #beSure(): Promise<void> {
    const { feed } = this.#parts;
    while (feed.hasTails && this.#sureOf !== feed.interruptions) {
      if ((await this.#catchUp(this.#queue.untilMs)) === undefined) return;
      if (feed.isAttached) this.#sureOf = feed.interruptions;
    }
  }

  /**
   * Sees everything that the partition holds by now; gives the newest number, `undefined` where that takes too long.
   * What was confirmed and does not come is lost: behind it, nothing may be stored before it is sent again.
   */
  async #catchUp(untilMs: number): Promise<number | undefined> {
    const { feed } = this.#parts;
    const newest = await feed.caughtUp(untilMs);
    if (newest !== undefined && this.#own.isWaiting) feed.missed();
    return newest;
  }

  /** Resolves once each record of the batch is answered, or confirmed and waiting to be handed over. */
  async #write(batch: readonly Sending[], untilMs: number): Promise<void> {
    const { feed, env } = this.#parts;
    const before = await feed.newestBefore();
    const fails = this.#fails;
    let left = batch;
    for (;;) {
      const outcomes = await this.#attempt(left, untilMs - env.monotonicMs());
      const { unknown, isRefused } = this.#settle(left, outcomes);
      if (unknown.length === 0) return;
      for (const sending of unknown) sending.inDoubt = true;
      const newest = fails === this.#fails ? await this.#catchUp(untilMs) : undefined;
      if (fails !== this.#fails) {
        this.#abandon(unknown, 'the partition does not go on from where it was');
        return;
      }
      left = this.#settleSeen(unknown);
      if (left.length === 0) return;
      let why = isRefused ? 'one before it was refused' : whyNotRepeat(left);
      if (newest === undefined) why ??= 'the broker did not come back in time';
      else if (newest - before >= this.#parts.window / 2) why ??= `${newest - before} records passed meanwhile`;
      if (untilMs - env.monotonicMs() < ATTEMPT_MS_MIN) why ??= 'there is no time left to repeat it';
      if (why === undefined) continue;
      this.#abandon(left, why);
      return;
    }
  }

  async #attempt(batch: readonly Sending[], leftMs: number): Promise<readonly AppendOutcome[]> {
    const { port, partition } = this.#parts;
    const deadlineMs = Math.max(ATTEMPT_MS_MIN, Math.min(ATTEMPT_MS_MAX, leftMs));
    const records = batch.map(({ native }) => native);
    try {
      return await port.append(partition, records, deadlineMs);
    } catch {
      // A port never rejects; one that does has not said what became of the batch.
      return [];
    }
  }

  /** Deals with what is known; returns what is not. */
  #settle(
    batch: readonly Sending[],
    outcomes: readonly AppendOutcome[],
  ): { readonly unknown: readonly Sending[]; readonly isRefused: boolean } {
    const unknown: Sending[] = [];
    let refusal: AppendOutcome | undefined;
    for (const [n, sending] of batch.entries()) {
      const outcome = outcomes[n];
      if (outcome?.state === 'stored') {
        this.#own.confirm(sending, !this.#parts.feed.hasTails);
      } else if (outcome?.state === 'refused' && !sending.inDoubt) {
        if (isToBeSentAgain(outcome)) refusal ??= outcome;
        this.#give(sending, outcome);
      } else if (outcome?.state === 'refused') {
        // This attempt stored nothing; the one before may have.
        if (isToBeSentAgain(outcome)) refusal ??= outcome;
        this.#give(sending, {
          state: 'unknown',
          message: `an attempt had no answer, the next one: ${outcome.message}`,
        });
      } else {
        unknown.push(sending);
      }
    }
    // What waits came later: stored now, it would stand in front of a record that is sent again.
    if (refusal !== undefined) this.refuseWaiting(refusal);
    this.#sweep();
    return { unknown, isRefused: refusal !== undefined };
  }

  /** After a look at the log: those that were found are stored. Returns the others. */
  #settleSeen(batch: readonly Sending[]): readonly Sending[] {
    if (!this.#parts.port.seenIsStored) return batch;
    for (const sending of batch) if (sending.seen) this.#own.confirm(sending, true);
    return batch.filter(({ seen }) => !seen);
  }

  /** It is not known, and will not be: nothing that waits behind it is stored either. */
  #abandon(left: readonly Sending[], why: string): void {
    const { port, link } = this.#parts;
    const message = `the broker ${port.place} did not say what became of it: ${why}`;
    for (const sending of left) this.#give(sending, { state: 'unknown', message });
    const cause = link.error === undefined ? '' : `: ${link.error.message}`;
    const behind = `it came behind a record of which ${port.place} did not say what became${cause}`;
    this.refuseWaiting({ state: 'refused', code: 'not_durable', message: behind });
  }

  /**
   * What was confirmed and did not come before the partition turned out to be another one, or to hold other records,
   * may be gone; what waits must not stand in front of it.
   */
  #onFail(): void {
    this.#fails++;
    this.giveUpWaiting();
    const message = `the broker ${this.#parts.port.place} may have lost what was appended before it`;
    this.refuseWaiting({ state: 'refused', code: 'not_durable', message });
  }

  #give(sending: Sending, outcome: AppendOutcome): void {
    this.#own.remove(sending);
    this.#answer(sending, outcome);
  }

  #answer(sending: Sending, outcome: AppendOutcome): void {
    this.#queue.answer(sending, outcome);
    this.#look();
  }

  #look(): void {
    if (this.#onIdle.length > 0 && this.#isIdle) for (const resolve of this.#onIdle.splice(0)) resolve();
  }

  /** One timer for all that are confirmed and not handed over. */
  #sweep(): void {
    const { env } = this.#parts;
    if (this.#isSweeping || !this.#own.isWaiting) return;
    this.#isSweeping = true;
    env.setTimer(SWEEP_MS, () => {
      void this.#giveUpOverdue(env.monotonicMs()).then(() => {
        this.#isSweeping = false;
        this.#sweep();
      });
    });
  }

  /** A confirmed record that does not come although everything came is one that the broker has lost since. */
  async #giveUpOverdue(nowMs: number): Promise<void> {
    const { feed } = this.#parts;
    if (this.#own.overdue(nowMs).length === 0) return;
    const newest = await feed.caughtUp(nowMs + SWEEP_MS);
    const overdue = this.#own.overdue(nowMs);
    this.#giveUp(overdue);
    if (newest !== undefined && overdue.length > 0) feed.missed();
  }

  #giveUp(overdue: readonly Sending[]): void {
    const message = `the broker ${this.#parts.port.place} confirmed it, but this node did not read it back`;
    for (const sending of overdue) this.#give(sending, { state: 'unknown', message });
  }
}

function oldestOf(batch: readonly Sending[]): number {
  return (batch[0] as Sending).untilMs;
}

/** Why a repeat could become a second visible record; `undefined`: it cannot. */
function whyNotRepeat(left: readonly Sending[]): string | undefined {
  return left.some(({ record }) => record.rid === undefined) ? 'without a rid it cannot be repeated' : undefined;
}
