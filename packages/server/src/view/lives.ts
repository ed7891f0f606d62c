/**
 * The lives of a view, one after the other: begins one from what its store holds, keeps it at the log's tail, and begins
 * the next where the store was lost or the log is another one. The one before answers from memory until the next has
 * come as far. Behind a forerunner (forerunner.ts), which serves meanwhile, the first one takes its time.
 */
import { POSITION_ZERO } from '@tideway/protocol';
import { TailError, type Position, type TailRecord } from '../log/log.ts';
import { SILENT, type ApplyEvents } from './applier.ts';
import { Attempts } from './attempts.ts';
import type { Arrivals, Followers } from './followers.ts';
import { beginLife, endLife, firstApplied, gapReasonOf, trouble, type Life, type ViewOptions } from './life.ts';
import type { Break, Forerun } from './forerun.ts';
import { Intake } from './intake.ts';
import { boundsOrFound, firstBase } from './log-bounds.ts';
import { LogHistory } from './log-history.ts';
import { positionNumber } from './packed-place.ts';
import { closedError } from './refusals.ts';
import { AgeClock } from './retention.ts';
import { Settler } from './settler.ts';
import { readAppliedOf } from './standing.ts';
import { StoreKeeper } from './store-keeper.ts';
import type { Applied } from './store-keys.ts';
import { isDamage } from './store.ts';
import { findChanges, findFilled } from './succession.ts';
import { answerUntil } from './view-log.ts';

const RETRY_MS = 1_000;

export class Lives {
  readonly #options: ViewOptions;
  readonly #partition: number;
  readonly #keeper: StoreKeeper;
  readonly #followers: Followers;
  readonly #arrivals: Arrivals;
  readonly #events: ApplyEvents;
  readonly #settler: Settler;
  readonly #history: LogHistory;
  readonly #intake: Intake;
  readonly #forerun: Forerun | undefined;
  /** What a forerunner has come to. Up to where it stands everybody was told. */
  #forerunner: Life | undefined;
  #onTakenOver = (): void => {};
  /** The one that serves, or did until the next one does. */
  #life: Life | undefined;
  #serving = Promise.withResolvers<void>();
  #isServing = false;
  #ageClock: AgeClock | undefined;
  #closed = false;
  /** The next one on its way. */
  readonly #making: Attempts;
  /** The last one that was made. */
  #latest: Life | undefined;
  /** How far the store had come when it was opened. */
  #found: Position | undefined;

  constructor(
    options: ViewOptions,
    followers: Followers,
    arrivals: Arrivals,
    events: ApplyEvents,
    forerun: Forerun | undefined,
  ) {
    this.#options = options;
    this.#forerun = forerun;
    this.#partition = options.partition ?? 0;
    this.#keeper = new StoreKeeper(options.store);
    this.#history = new LogHistory(options.log, this.#partition, {
      epoch: options.constants.epochs[this.#partition] as string,
      keeper: this.#keeper,
    });
    this.#followers = followers;
    this.#arrivals = arrivals;
    this.#events = events;
    this.#settler = new Settler(options, this.#partition);
    this.#making = new Attempts(options.env, (error) =>
      trouble(options, 'store_failed', 'the view cannot be made from the log yet, and tries again', error),
    );
    this.#intake = new Intake(options, {
      keeper: this.#keeper,
      apply: (life, batch) => this.#apply(life, batch),
      isBehindForerunner: () => this.#forerunner !== undefined,
      isServing: () => this.#isServing,
      endIfDamaged: (life, error) => this.endIfDamaged(life, error),
    });
  }

  /** What it has in memory is true, also while the next one is on its way. */
  get now(): Life {
    const life = this.#life ?? this.#forerunner;
    if (life === undefined) throw new Error('the view is not open');
    return life;
  }

  /** How many positions lie between what it has read and where its forerunner stands; 0 without one. */
  get toFill(): number {
    if (this.#forerunner === undefined) return 0;
    const at = this.#latest?.applier.position ?? this.#found;
    return Math.max(1, positionNumber(this.#forerunner.applier.position) - positionNumber(at ?? POSITION_ZERO));
  }

  /** False while the next one is on its way: the store is not that of `now`. */
  get isServing(): boolean {
    return this.#isServing;
  }

  get isStalled(): boolean {
    const { standstill } = this.#intake;
    return standstill.isLong || (standstill.isOn && this.#isServing && this.now.writer.isFailing);
  }

  /** The one that serves, as soon as there is one. */
  async serving(): Promise<Life> {
    await this.#serving.promise;
    if (this.#closed) throw closedError();
    return this.now;
  }

  // Beginning and end

  /** Opens the store; resolves with how far it has come, `undefined` where it is empty or of no use. */
  async openStore(): Promise<Position | undefined> {
    // Whatever ends before it serves rejects this; it is awaited in `begin`.
    this.#serving.promise.catch(() => {});
    try {
      await this.#keeper.open();
    } catch (error) {
      if (!isDamage(error)) throw error;
      await this.#setAside(error.message);
    }
    const { found } = await readAppliedOf(this.#history.epoch, this.#keeper);
    return (this.#found = found?.position);
  }

  /** Resolves when it serves. */
  async begin(): Promise<void> {
    await this.#begin(undefined);
    await answerUntil(this.#options.givenUp, this.#serving.promise);
  }

  /** Begins behind a forerunner, which serves until this one has come as far; `onTakenOver` is called in that very step. */
  fill(forerunner: Life, onTakenOver: () => void): void {
    this.#forerunner = forerunner;
    this.#onTakenOver = onTakenOver;
    this.#making.begin(() => this.#begin(this.#life));
  }

  /** The forerunner has ended too soon: from now on everybody waits for this one. */
  loseForerunner(why: Break): void {
    this.#intake.standstill.begin();
    // In the same history followers are taken up where they were left.
    if (why.reason === undefined) return;
    this.#life = this.#forerunner;
    this.#forerunner = undefined;
    this.#history.changed(why);
    if (this.#latest !== undefined) this.#succeed(this.#latest, `the log went on otherwise: ${why.reason}`, 'keep');
  }

  async close(): Promise<void> {
    this.#closed = true;
    // Whoever took over from a forerunner tells followers from this step on.
    if (this.#latest !== undefined && this.#forerun !== undefined) this.#latest.ended = true;
    this.#serving.promise.catch(() => {});
    this.#serving.reject(closedError());
    await this.#making.end();
    // What a forerunner has is kept by nobody.
    if (this.#latest !== undefined) await endLife(this.#latest, this.#forerun === undefined);
    await this.#keeper.end();
  }

  /** Begins a life from what the store holds, or from the log alone. */
  async #begin(before: Life | undefined): Promise<void> {
    const { found, useless } = await readAppliedOf(this.#history.epoch, this.#keeper);
    if (useless !== undefined) await this.#setAside(useless);
    let life: Life;
    try {
      life = await this.#make(found, before);
    } catch (error) {
      if (!isDamage(error) || found === undefined) throw error;
      await this.#setAside(error.message);
      return await this.#begin(before);
    }
    this.#latest = life;
    try {
      await this.#attach(life);
    } catch (error) {
      if (!(error instanceof TailError) || this.#forerun !== undefined) throw error;
      const reason = gapReasonOf(error);
      if (found !== undefined && error.reason === 'unavailable') {
        // The log is away: what the store has is served, and the log is tried again until it is back.
        this.#serveWhenThere(life);
        return this.#onTailError(life, error);
      }
      await endLife(life, false);
      if (reason === undefined) throw error;
      // A log that let go of records since it was asked where it begins says nothing of what followers have.
      const { epoch } = error;
      this.#history.changed(found === undefined && reason === 'trimmed' ? { epoch } : { reason, epoch });
      if (found !== undefined && !(reason === 'diverged' && (await this.#history.cutBack(life))))
        await this.#setAside(`the view does not continue the log: ${error.message}`);
      return await this.#begin(before);
    }
    // Read from a freshly opened store, so the log may rely on it.
    if (found !== undefined) await this.#options.log.settled(this.#partition, found.position);
    // That nothing was there is known too: the next start may have to do without the log.
    else void life.writer.add([]);
    if (this.#closed) return await endLife(life, false);
    try {
      this.#serveWhenThere(life);
    } catch (error) {
      await endLife(life, false);
      throw error;
    }
  }

  async #make(found: Applied | undefined, before: Life | undefined): Promise<Life> {
    const { log, env } = this.#options;
    const bounds = await boundsOrFound(log, this.#partition, found);
    const told = before === undefined ? bounds.newest : (this.#history.common ?? before.applier.position);
    this.#ageClock ??= new AgeClock(env, found?.nowMs, (message) => trouble(this.#options, 'clock_in_doubt', message));
    return await beginLife(this.#options, {
      keeper: this.#keeper,
      applied: found ?? firstApplied(this.#options, this.#history.epoch, this.#forerun?.from ?? firstBase(bounds)),
      goal: told < bounds.newest ? told : bounds.newest,
      isForerunner: this.#forerun !== undefined,
      ageClock: this.#ageClock,
      events: {
        isFollowed: (channel) => this.#followers.has(channel),
        onFloor: (channel, floor) => {
          if (this.#isServing) this.#events.onFloor(channel, floor);
        },
        onWritten: (written) => {
          if (written !== this.#life || !this.#isServing || this.#forerun !== undefined) return;
          this.#settler.settleIfWanted(written.writer, () => this.#closed);
        },
        onUpkeepFailed: (failed, error) => {
          if (failed.ended || this.endIfDamaged(failed, error)) return;
          trouble(this.#options, 'upkeep_failed', 'the view could not tidy up a channel', error);
        },
        onLost: (lost, why) => this.#succeed(lost, why.message, why.reason === 'damaged' ? 'set aside' : 'keep'),
      },
    });
  }

  async #attach(life: Life): Promise<void> {
    const { position, tag } = life.applier;
    life.tail = await this.#options.log.tail(
      this.#partition,
      { position, tag },
      (batch) => this.#intake.onBatch(life, batch),
      (error) => this.#onTailError(life, error),
    );
    if (life.ended) await life.tail.stop();
    else if (this.#isServing) this.#intake.standstill.end();
  }

  // What the log gives

  /** False where the life takes no more. */
  #apply(life: Life, batch: readonly TailRecord[]): boolean {
    if (life !== this.#life || !this.#isServing) {
      const goal = this.#goalOf(life);
      const told = batch.filter(({ position }) => position > life.applier.position && position <= goal);
      // In a history that took the place of another one, what was told is not what is judged now.
      const { onVerdict } = this.#events;
      life.applier.apply(told, this.#history.isSame ? SILENT : { ...SILENT, onVerdict });
      this.#history.trail.add(told);
      // Where a log's numbers have holes nothing need stand at the goal itself.
      this.#serveWhenThere(life, (batch.at(-1) as TailRecord).position);
    }
    const { position: at } = life.applier;
    const isAllNew = (batch[0] as TailRecord).position > at;
    const rest = isAllNew ? batch : batch.filter(({ position }) => position > at);
    if (rest.length === 0) return true;
    const isAll = life.applier.apply(rest, this.#events);
    if (isAll) this.#history.trail.add(rest);
    this.#arrivals.arrived(life.applier.position);
    return isAll;
  }

  /** Up to here everybody was told. A forerunner goes on. */
  #goalOf(life: Life): Position {
    return this.#forerunner?.applier.position ?? life.goal;
  }

  /** Throws, with nothing done, when it needs a meta that cannot be read now. */
  #serveWhenThere(life: Life, at = life.applier.position): void {
    if (this.#isServing || life.ended || at < this.#goalOf(life)) return;
    const before = this.#life;
    const forerunner = this.#forerunner;
    const changes = forerunner
      ? findFilled(this.#followers, forerunner, life)
      : findChanges(this.#followers, before, life, this.#history.gapReason);
    this.#life = life;
    this.#isServing = true;
    this.#forerunner = undefined;
    const how =
      this.#history.common === undefined ? 'made anew from the log' : 'cut back to what it has in common with the log';
    this.#history.settled();
    this.#intake.standstill.end();
    this.#serving.resolve();
    if (forerunner !== undefined) this.#onTakenOver();
    life.upkeep.start();
    if (before !== undefined)
      trouble(this.#options, 'view_rebuilt', `the view was ${how}, up to ${life.applier.position}`);
    for (const { channel, tell } of changes) this.#followers.tell(channel, tell);
    this.#arrivals.arrived(life.applier.position);
  }

  #onTailError(life: Life, error: TailError): void {
    if (life.ended || this.#closed) return;
    const reason = gapReasonOf(error);
    if (reason !== undefined) {
      const { constants, onBroken } = this.#options;
      if (this.#forerunner === undefined) onBroken?.((channel) => constants.partitionOf(channel) === this.#partition);
      if (this.#forerun !== undefined) return this.#break(life, error, { reason, epoch: error.epoch });
      this.#history.changed({ reason, epoch: error.epoch });
      this.#succeed(life, error.message, reason === 'diverged' ? 'cut back' : 'set aside');
      return;
    }
    const hasBegun = this.#life !== undefined || this.#forerunner !== undefined;
    // A log that goes away is waited for; whoever opens the view is told of anything else.
    if (!hasBegun && (error.reason !== 'unavailable' || this.#forerun !== undefined))
      return this.#serving.reject(error);
    // A log that is away refuses appends itself; one that cannot be read would go on to store them.
    if (error.reason === 'damaged') this.#intake.standstill.begin();
    trouble(this.#options, 'tail_ended', 'the view gets nothing from the log, and tries again', error);
    this.#options.env.setTimer(RETRY_MS, () => {
      if (life.ended || this.#closed) return;
      this.#attach(life).catch((again: unknown) =>
        this.#onTailError(life, again instanceof TailError ? again : new TailError('unavailable', String(again))),
      );
    });
  }

  // When the store is lost

  /** True when the error says that the store is damaged: the next life then begins from the log alone. */
  endIfDamaged(life: Life, error: unknown): boolean {
    if (!isDamage(error)) return false;
    this.#succeed(life, error.message, 'set aside');
    return true;
  }

  /** Ends a life and begins the next, from what becomes of its store. */
  #succeed(life: Life, why: string, store: 'keep' | 'cut back' | 'set aside'): void {
    if (life.ended || this.#closed) return;
    if (this.#forerun !== undefined) return this.#break(life, new Error(why), {});
    if (this.#isServing) this.#serving = Promise.withResolvers();
    this.#isServing = false;
    this.#intake.standstill.begin();
    let todo = store;
    const again = async (): Promise<void> => {
      await endLife(life, false);
      if (todo === 'cut back') todo = (await this.#history.cutBack(life)) ? 'keep' : 'set aside';
      if (todo === 'set aside') await this.#setAside(why);
      todo = 'keep';
      await this.#begin(this.#life);
    };
    life.ended = true;
    this.#making.begin(again);
  }

  /** A forerunner is not made anew. */
  #break(life: Life, error: Error, why: Break): void {
    life.ended = true;
    this.#isServing = false;
    // Whoever opens it is told; one that has served is needed no more.
    this.#serving.reject(error);
    this.#forerun?.onBreak(why);
  }

  async #setAside(why: string): Promise<void> {
    this.#history.letGo();
    const where = await this.#keeper.startEmpty();
    trouble(this.#options, 'store_set_aside', `${why}: the store was moved to ${where}, the view is made from the log`);
  }
}
