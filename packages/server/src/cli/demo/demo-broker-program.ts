/** A broker as the demo can start it by itself: which program, with what, and what it says when it serves. */
export interface BrokerPlace {
  /** Of its data; also where it runs. */
  readonly folder: string;
  /** Free ones on loopback, the one for clients first. */
  readonly ports: readonly number[];
}

export interface BrokerProgram {
  readonly name: string;
  /** How to get it. */
  readonly install: string;
  /** How many ports it needs. */
  readonly portCount: number;
  /** A line of its talk that says that it serves. */
  readonly ready: RegExp;
  /** Program and arguments. */
  command(place: BrokerPlace): readonly string[];
  /** Its environment beside that of the demo. */
  environment?(place: BrokerPlace): Readonly<Record<string, string>>;
  /** Another program that must run beside it, and arguments. */
  helper?(place: BrokerPlace): readonly string[];
  /** What must be done before its first start. */
  prepare?(place: BrokerPlace): Promise<void>;
  /** What must be done after its first start. */
  settle?(): Promise<void>;
  /** What the nodes are given. */
  address(place: BrokerPlace): string;
}
