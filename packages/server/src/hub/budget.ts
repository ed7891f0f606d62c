/**
 * What peers may make a node hold that they do not take or do not finish: one budget, with a share for each kind, so that
 * none starves the others. Counts only; what happens at a limit is its owner's business.
 */

export class Budget {
  readonly bytesMax: number;
  /** Queued for sessions and not taken by their peers yet. */
  outboxBytes = 0;
  /** Answers over HTTP that were not taken yet. */
  answerBytes = 0;
  /** Bodies of HTTP requests that have come in and have no answer yet. */
  bodyBytes = 0;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  /** Everything together is over the budget: only sessions whose outbox is empty take records. */
  get crowded(): boolean {
    return this.outboxBytes + this.answerBytes + this.bodyBytes > this.bytesMax;
  }

  /** Answers may hold half of it; a large one goes when there is no other. */
  hasRoomForAnswer(bytes: number): boolean {
    return this.answerBytes === 0 || this.answerBytes + bytes <= this.bytesMax / 2;
  }

  /**
   * Bodies may hold a quarter; a large one is taken when there is no other.
   *
   * @param ownBytes what the same body holds already
   */
  hasRoomForBody(bytes: number, ownBytes: number): boolean {
    return this.bodyBytes === ownBytes || this.bodyBytes + bytes <= this.bytesMax / 4;
  }
}
