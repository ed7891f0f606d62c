/** The query of a request (PROTOCOL.md HTTP-1): each parameter as often as it may be given, and within its bounds. */
import { limits } from '@tideway/protocol';
import { badFrame } from './request-refusal.ts';

export class Query {
  readonly #params: URLSearchParams;

  /** @param text what stands behind the `?` */
  constructor(text: string) {
    this.#params = new URLSearchParams(text);
  }

  /** Every value of a parameter. */
  all(name: string): readonly string[] {
    return this.#params.getAll(name);
  }

  /** The values of a parameter that must be there, and at most so often. */
  several(name: string, max: number): readonly string[] {
    const values = this.all(name);
    if (values.length >= 1 && values.length <= max) return values;
    throw badFrame(`"${name}" must be given 1 to ${max} times, it was given ${values.length} times`);
  }

  /** A parameter that must be there once. */
  one(name: string): string {
    const values = this.all(name);
    if (values.length === 1) return values[0] as string;
    throw badFrame(`the query parameter "${name}" must be given once, it was given ${values.length} times`);
  }

  /** A parameter that may be there once. */
  maybe(name: string): string | undefined {
    return this.#params.has(name) ? this.one(name) : undefined;
  }

  /** A user that the query names (NAM-4), if it does. */
  maybeUser(name: string): string | undefined {
    const user = this.maybe(name);
    if (user === undefined || (user !== '' && Buffer.byteLength(user) <= limits.userBytes)) return user;
    throw badFrame(`"${name}" must have 1 to ${limits.userBytes} bytes`);
  }

  /** A whole number within bounds, or its default. */
  whole(name: string, bounds: { readonly min: number; readonly max: number; readonly otherwise: number }): number {
    const text = this.maybe(name);
    if (text === undefined) return bounds.otherwise;
    const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= bounds.min && value <= bounds.max) return value;
    throw badFrame(`"${name}" must be a whole number from ${bounds.min} to ${bounds.max}, got "${text.slice(0, 20)}"`);
  }
}
