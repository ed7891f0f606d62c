/**
 * Follows one partition for this node. A follower that ends is replaced, with back-off and jitter, by one that starts
 * only where the broker still holds the record at the last one's place; where it does not, following has failed.
 */
import { randomFraction } from '../../env.ts';
import { TailError } from '../log.ts';
import type { Following, PortBounds, StoredRecord } from './broker-port.ts';
import { Changes } from './changes.ts';
import type { PartitionParts } from './partition-parts.ts';
import { checkPlace, countContiguous, holeError, isFinal, tagOf, type NumberedPlace } from './place-check.ts';
import { PlaceWatch } from './place-watch.ts';

export interface FollowerEvents {
  /** The next records, contiguous with those before; returns the tag of the last one. */
  onRecords(records: readonly StoredRecord[]): string;
  /** It runs, or has ended and is being replaced. */
  onHealth(isWell: boolean, error?: Error): void;
  /** It cannot go on from its place, and has forgotten it. */
  onFail(error: TailError): void;
}

const BACK_OFF_MS = 50;
const BACK_OFF_MS_MAX = 5_000;

export class PartitionFollower {
  readonly #parts: PartitionParts;
  readonly #events: FollowerEvents;
  readonly #watch: PlaceWatch;
  /** Up to where everything was given; absent until it was first attached. */
  #place: NumberedPlace | undefined;
  /** The newest number that the broker was heard to hold. */
  #newest: number | undefined;
  #following: Following | undefined;
  /** It runs, behind a place that was compared. */
  isAttached = false;
  /** Counts followers: what an earlier one still says is not heard. */
  #life = 0;
  /** How often it stopped to run: meanwhile, the broker may have lost something. */
  interruptions = 0;
  #attempt: { readonly life: number; readonly promise: Promise<void> } | undefined;
  /** Attempts and followers in a row that gave nothing. */
  #failures = 0;
  #cancelWait: (() => void) | undefined;
  /** Attached, given, failed, closed. */
  readonly #changes = new Changes();

  constructor(parts: PartitionParts, events: FollowerEvents) {
    this.#parts = parts;
    this.#events = events;
    this.#watch = new PlaceWatch(parts.env, {
      place: () => this.#place,
      compare: (place) => {
        // It has lived long enough to be no failure.
        this.#failures = 0;
        return this.#compare(place);
      },
    });
  }

  /** The number up to which everything was given. */
  get number(): number | undefined {
    return this.#place?.number;
  }

  /** The newest number that the partition was heard to hold. */
  get newest(): number | undefined {
    return this.#newest;
  }

  get isClosed(): boolean {
    return this.#changes.areOver;
  }

  /** What the partition holds. Less than was given already is a rewind: found here, before anybody relies on it. */
  async bounds(): Promise<PortBounds> {
    const { port, partition } = this.#parts;
    const [life, before] = [this.#life, this.#place];
    const bounds = await port.bounds(partition);
    this.#newest = bounds.newest;
    if (life === this.#life && this.isAttached && before !== undefined && bounds.newest < before.number) {
      await this.#compare(before);
    }
    return bounds;
  }

  /** It has become known that the partition does not hold what it should. */
  diverged(message: string): void {
    if (this.isAttached) this.#fail(new TailError('diverged', message));
  }

  /** Attached, or rejects with the reason why not. */
  async attachNow(): Promise<void> {
    if (this.isClosed) throw new TailError('unavailable', 'the log is closed');
    if (this.isAttached) return;
    const { link } = this.#parts;
    if (!link.isUp) throw link.error ?? new Error('it is not connected yet');
    await this.#tryAttach();
  }

  /** Resolves while it runs, or once nobody wants it to. */
  async attached(isWanted = (): boolean => true): Promise<void> {
    while (!this.isAttached && isWanted()) await this.#changes.next();
  }

  /** Resolves once everything up to that number was given. */
  async reached(number: number): Promise<void> {
    while (this.#place !== undefined && this.#place.number < number) await this.#changes.next();
    if (this.#place === undefined) throw new TailError('unavailable', 'the follower cannot go on');
  }

  /** The connection is there again. */
  onUp(): void {
    if (this.#place !== undefined) this.#keepAttached();
  }

  onDown(error: Error): void {
    this.#detach();
    this.#cancelWait?.();
    if (this.#place !== undefined) this.#events.onHealth(false, error);
  }

  /** The next attempt starts from the partition's end. */
  forget(): void {
    this.#detach();
    this.#cancelWait?.();
    this.#place = undefined;
    this.#watch.forget();
    this.#newest = undefined;
    this.#failures = 0;
    this.#events.onHealth(true);
    this.#changes.wake();
  }

  async close(): Promise<void> {
    this.#cancelWait?.();
    const following = this.#following;
    this.#detach();
    this.#changes.end();
    await following?.stop();
  }

  /** One attempt at a time; one that a change made void is not waited for. */
  #tryAttach(): Promise<void> {
    if (this.#attempt?.life === this.#life) return this.#attempt.promise;
    const promise = this.#attach(++this.#life);
    const attempt = { life: this.#life, promise };
    this.#attempt = attempt;
    const over = (): void => {
      if (this.#attempt === attempt) this.#attempt = undefined;
    };
    promise.then(over, over);
    return promise;
  }

  async #attach(life: number): Promise<void> {
    const { port, partition } = this.#parts;
    const before = this.#place;
    const place = before ?? (await this.#findEnd());
    if (before !== undefined) await checkPlace(port, partition, before);
    if (life !== this.#life) throw new Error('the connection was lost meanwhile');
    this.#place = place;
    const following = await port.follow(partition, place.number, {
      onRecords: (records) => {
        if (life === this.#life) this.#take(records);
        return undefined;
      },
      onEnd: (error) => {
        if (life === this.#life) this.#onEnd(error);
      },
    });
    if (life !== this.#life) {
      void following.stop().catch(() => undefined);
      throw new Error('the follower ended at once');
    }
    this.#following = following;
    this.isAttached = true;
    this.#watch.start(place);
    this.#events.onHealth(true);
    this.#changes.wake();
  }

  /** The place of the newest record. */
  async #findEnd(): Promise<NumberedPlace> {
    const { port, partition } = this.#parts;
    const { oldest, newest } = await port.bounds(partition);
    this.#newest = newest;
    const found = newest > oldest ? await port.at(partition, newest) : undefined;
    return { number: newest, tag: found === undefined ? undefined : tagOf(found) };
  }

  /** Attaches, again and again, until it is or there is nothing to attach to. */
  #keepAttached(): void {
    if (this.isAttached || this.isClosed || !this.#parts.link.isUp) return;
    const attempt = this.#tryAttach();
    const life = this.#life;
    attempt.catch((error: unknown) => {
      if (life !== this.#life) return;
      if (isFinal(error)) {
        this.#fail(error);
        return;
      }
      this.#events.onHealth(false, error instanceof Error ? error : new Error(String(error)));
      this.#failures++;
      this.#keepAttachedLater();
    });
  }

  #keepAttachedLater(): void {
    const { env } = this.#parts;
    const most = Math.min(BACK_OFF_MS_MAX, BACK_OFF_MS * 2 ** this.#failures);
    this.#cancelWait?.();
    this.#cancelWait = env.setTimer(most * (0.5 + randomFraction(env) / 2), () => this.#keepAttached());
  }

  #take(records: readonly StoredRecord[]): void {
    const place = this.#place;
    if (records.length === 0 || place === undefined) return;
    const count = countContiguous(this.#parts.port, place.number, records);
    if (count > 0) {
      this.#failures = 0;
      const tag = this.#events.onRecords(count === records.length ? records : records.slice(0, count));
      const { number } = records[count - 1] as StoredRecord;
      this.#place = { number, tag };
      this.#newest = Math.max(this.#newest ?? 0, number);
      this.#changes.wake();
    }
    if (count < records.length) {
      this.#onEnd(new Error(`record ${records[count]?.number} came behind ${this.#place?.number}`));
    }
  }

  /** It ended, or is not believed any more. */
  #onEnd(error: Error): void {
    this.#detach();
    this.#events.onHealth(false, error);
    if (error instanceof TailError) {
      if (error.reason === 'damaged' || error.reason === 'diverged') {
        this.#fail(error);
        return;
      }
      if (error.reason === 'epoch') {
        this.#parts.link.lost(error);
        return;
      }
    }
    if (this.#failures++ === 0) this.#keepAttached();
    else void this.#doubt(error);
  }

  /** Followers end again and again at the same place: what stands behind it tells whether something is missing there. */
  async #doubt(cause: Error): Promise<void> {
    const { port, partition } = this.#parts;
    const [life, place] = [this.#life, this.#place];
    if (place === undefined) return;
    try {
      await checkPlace(port, partition, place);
      const next = await port.read(partition, place.number, 1);
      if (countContiguous(port, place.number, next) < next.length)
        throw holeError(port, partition, place.number, next, cause);
    } catch (error) {
      if (life !== this.#life) return;
      if (isFinal(error)) {
        this.#fail(error);
        return;
      }
    }
    if (life === this.#life) this.#keepAttachedLater();
  }

  #detach(): void {
    this.#life++;
    if (this.isAttached) this.interruptions++;
    this.isAttached = false;
    this.#watch.stop();
    const following = this.#following;
    this.#following = undefined;
    void following?.stop().catch(() => undefined);
  }

  #fail(error: TailError): void {
    this.forget();
    this.#events.onFail(error);
  }

  /** Fails where another record, or none, stands at a place that was given; false where that cannot be said now. */
  async #compare(place: NumberedPlace): Promise<boolean> {
    const { port, partition } = this.#parts;
    const life = this.#life;
    try {
      await checkPlace(port, partition, place);
      return true;
    } catch (error) {
      if (life !== this.#life || !isFinal(error)) return false;
      // What was given may be trimmed since; only what comes next may not.
      if (error.reason === 'trimmed' && place.number < (this.#place?.number ?? 0)) return true;
      this.#fail(error);
      return false;
    }
  }
}
