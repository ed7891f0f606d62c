/**
 * The typed contract: channel patterns with Standard Schema validators (https://standardschema.dev, v1), written once,
 * used by the server at run time and by the client as a type only. Any library that carries `~standard` serves.
 */
import { checkPattern, matchPattern } from './channel-pattern.ts';
import { namespaceOf } from './names.ts';

/** Standard Schema v1, as far as it is used here. */
export interface StandardSchema<Input = unknown, Output = Input> {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>;
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
  };
}

export type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] };

export interface SchemaIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** What one pattern of channels carries. */
export interface ChannelSpec {
  readonly record?: StandardSchema;
  readonly signal?: StandardSchema;
  /** Records have keys; the newest of a key is the one that counts. */
  readonly keyed?: boolean;
}

/** Channel patterns, and what their channels carry. */
export type Contract = Readonly<Record<string, ChannelSpec>>;

/**
 * Declares a contract; it is returned as it is, with its exact type.
 *
 * @throws RangeError when a key is no channel pattern (NAM-3)
 * @example contract({ 'chat:{room}': { record: v.object({ text: v.string() }) } })
 */
export function contract<const C extends Contract>(channels: C): C {
  for (const pattern of Object.keys(channels)) checkPattern(pattern);
  return channels;
}

export type SchemaInput<S> = S extends StandardSchema<infer Input, unknown> ? Input : never;
export type SchemaOutput<S> = S extends StandardSchema<unknown, infer Output> ? Output : never;

/** What an application appends to a pattern's channels; `unknown` where the contract says nothing. */
export type RecordInput<C, P> = P extends keyof C
  ? C[P] extends { readonly record: infer S }
    ? SchemaInput<S>
    : unknown
  : unknown;
/** What an application signals on a pattern's channels; `never` where its contract has no signal. */
export type SignalInput<C, P> = P extends keyof C
  ? C[P] extends { readonly signal: infer S }
    ? SchemaInput<S>
    : never
  : unknown;

/** What a reader with the run-time contract gets of a pattern's records. */
export type RecordOutput<C, P> = P extends keyof C
  ? C[P] extends { readonly record: infer S }
    ? SchemaOutput<S>
    : unknown
  : unknown;
/** What a listener with the run-time contract gets of a pattern's signals. */
export type SignalOutput<C, P> = P extends keyof C
  ? C[P] extends { readonly signal: infer S }
    ? SchemaOutput<S>
    : never
  : unknown;

/** The parameter names in a pattern's text. */
export type PatternParameter<P extends string> = P extends `${string}{${infer Name}}${infer Rest}`
  ? Name | PatternParameter<Rest>
  : never;
/** The parameters a pattern takes. */
export type PatternParameters<P extends string> = { readonly [Name in PatternParameter<P>]: string };

/** The spec of the first pattern that names the channel, with the pattern; `undefined` where none does. */
export function specOf(
  channels: Contract,
  channel: string,
): { readonly pattern: string; readonly spec: ChannelSpec } | undefined {
  for (const [pattern, spec] of Object.entries(channels)) {
    if (namespaceOf(pattern) === namespaceOf(channel) && matchPattern(pattern, channel) !== undefined)
      return { pattern, spec };
  }
  return undefined;
}

/** Why a value does not fit its schema: `path: message` of the first three issues. */
export function describeIssues(issues: readonly SchemaIssue[]): string {
  return issues
    .slice(0, 3)
    .map((issue) => {
      const path = (issue.path ?? []).map((step) => String(typeof step === 'object' ? step.key : step)).join('.');
      return path === '' ? issue.message : `${path}: ${issue.message}`;
    })
    .join('; ');
}

/**
 * Checks a value against a schema.
 *
 * @throws TypeError when the schema answers with a promise: appends are ordered as sent, so only sync schemas serve
 */
export function validate<Output>(
  schema: StandardSchema<unknown, Output>,
  value: unknown,
  channel: string,
): SchemaResult<Output> {
  const result = schema['~standard'].validate(value);
  if ('then' in result) {
    // Its rejection is nobody's business any more, and must not end the process.
    void result.then(undefined, () => undefined);
    throw new TypeError(`the schema of ${channel} validates asynchronously; use a synchronous one`);
  }
  return result;
}

/** The issues of a value that does not fit its schema, or `undefined` when it fits; throws as `validate` does. */
export function issuesOf(schema: StandardSchema, value: unknown, channel: string): readonly SchemaIssue[] | undefined {
  return validate(schema, value, channel).issues;
}
