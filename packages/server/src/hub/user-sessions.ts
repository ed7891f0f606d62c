/** How many sessions each user has on this node. */
export class UserSessions {
  readonly #counts = new Map<string, number>();

  count(user: string): number {
    return this.#counts.get(user) ?? 0;
  }

  began(user: string): void {
    this.#counts.set(user, this.count(user) + 1);
  }

  ended(user: string): void {
    const left = this.count(user) - 1;
    if (left > 0) this.#counts.set(user, left);
    else this.#counts.delete(user);
  }
}
