/**
 * Whether another session may begin on this node, and why not: it is going away, it has all it may have, or the user has.
 */
import type { Identity } from '../auth/identity.ts';
import type { Refusal } from '../hub/refusal.ts';
import type { Hub } from '../hub/hub.ts';

export class SessionRoom {
  /** Clients were told to move: nobody new is taken any more. */
  isLeaving = false;
  readonly #hub: Hub;
  /** `config.limits.sessions` and `config.limits.sessionsPerUser`. */
  readonly #max: { readonly sessions: number; readonly sessionsPerUser: number };

  constructor(hub: Hub, max: { readonly sessions: number; readonly sessionsPerUser: number }) {
    this.#hub = hub;
    this.#max = max;
  }

  /** Why none may begin; `undefined` where one may. */
  refusal(): Refusal | undefined {
    return this.whenLeaving() ?? this.whenFull();
  }

  whenLeaving(): Refusal | undefined {
    if (!this.isLeaving) return undefined;
    return { code: 'going_away', message: 'this node is stopping; another takes over' };
  }

  whenFull(): Refusal | undefined {
    const max = this.#max.sessions;
    if (this.#hub.sessions.size < max) return undefined;
    this.#hub.figures.hit('sessions');
    return { code: 'overloaded', message: `this node has its ${max} sessions` };
  }

  /** A limit on the sessions of one user turns the newest away. */
  whenUserFull({ user }: Identity): Refusal | undefined {
    const max = this.#max.sessionsPerUser;
    if (user === undefined || this.#hub.users.count(user) < max) return undefined;
    this.#hub.figures.hit('sessionsPerUser');
    return { code: 'limit_exceeded', message: `a user has at most ${max} sessions on a node` };
  }
}
