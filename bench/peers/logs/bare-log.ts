/**
 * A log through its broker's own client and nothing else, as its documentation shows it: what a node is held against.
 * It has a stream of its own; it can also write into a Tideway log, as any foreign producer may.
 */

export interface BareRecord {
  readonly channel: string;
  readonly rid: string;
  readonly payload: string;
}

/** Where records go: the client's own stream, or partition 0 of a Tideway log of that name. */
export type BarePlace = { readonly own: string } | { readonly log: string };

export interface BareLog {
  /** Resolves when the broker has acknowledged all of them. */
  append(records: readonly BareRecord[]): Promise<void>;
  /** Gives the payload of every record of the client's own stream, from its beginning and then as they come. */
  read(onPayload: (payload: Buffer) => void): Promise<void>;
  close(): Promise<void>;
}

export type OpenBareLog = (url: string, place: BarePlace) => Promise<BareLog>;

export const ridHeader = 'tideway-rid';
