/**
 * What stands between a frame and the log: name, permission, payload, limits, contract (PROTOCOL.md APP-7, FRM-5). The
 * same for WebSocket, HTTP and in-process callers; each frame is judged, not only its connection.
 */
import {
  describeIssues,
  issuesOf,
  parseCursor,
  specOf,
  type PayloadKind,
  type SchemaIssue,
  type StandardSchema,
} from '@tideway/protocol';
import type { Identity, Permission } from '../auth/identity.ts';
import { readJsonPayload } from '../log/json-payload.ts';
import type { PhysicalRecord } from '../log/log.ts';
import type { Hub } from './hub.ts';
import type { NamespaceRules, Policy } from './policy.ts';
import type { Refusal } from './refusal.ts';

export interface AppendRequest {
  readonly channel: string;
  readonly encoding: PayloadKind;
  /** Absent where the frame had none. */
  readonly payload: Buffer | undefined;
  readonly rid: string | undefined;
  readonly key?: string | undefined;
  readonly expect?: string | undefined;
  readonly trace?: string | undefined;
}

/** Whether this identity may do that on this channel; `undefined` is yes. A promise only where a policy function returns one. */
export function authorize(
  policy: Policy,
  identity: Identity,
  permission: Permission,
  channel: string,
): Refusal | undefined | Promise<Refusal | undefined> {
  const answer = policy.may(identity, permission, channel);
  if (answer === true) return undefined;
  if (answer === false) return refusalOf(policy, identity, permission, channel);
  return answer.then((may) => (may ? undefined : refusalOf(policy, identity, permission, channel)));
}

/** The members of a refusal alone: an error's message is lost where it is spread. */
function refusalOf(policy: Policy, identity: Identity, permission: Permission, channel: string): Refusal {
  const { code, message } = policy.refusal(identity, permission, channel);
  return { code, message };
}

/** The payload as it will be stored, or why it is refused. */
export function admitPayload(
  policy: Policy,
  rules: NamespaceRules,
  request: { readonly channel: string; readonly encoding: PayloadKind; readonly payload: Buffer },
  what: 'record' | 'signal',
  bytesMax: number,
): { readonly payload: Buffer } | Refusal {
  if (request.payload.length > bytesMax) {
    return {
      code: 'too_large',
      message: `a ${what} on "${request.channel}" holds at most ${bytesMax} bytes, got ${request.payload.length}`,
    };
  }
  if (what === 'record' && rules.payload !== undefined && rules.payload !== request.encoding) {
    return {
      code: 'invalid',
      message: `"${request.channel}" takes ${rules.payload} payloads, got ${request.encoding}`,
    };
  }
  const schema = policy.contract === undefined ? undefined : specOf(policy.contract, request.channel)?.spec[what];
  if (request.encoding === 'bytes') {
    return schema === undefined
      ? { payload: request.payload }
      : { code: 'invalid', message: `"${request.channel}" has a contract: JSON only` };
  }
  const json = readJsonPayload(request.payload);
  if ('fault' in json) return { code: 'bad_frame', message: json.fault };
  if (schema !== undefined) {
    const misfit = judge(schema, JSON.parse(json.text), request.channel);
    if (misfit !== undefined) {
      const message = `the ${what} does not fit its contract: ${describeIssues(misfit.issues)}`;
      return { code: 'invalid', message, logged: misfit.logged };
    }
  }
  return { payload: json.payload };
}

/** A schema is the application's: one that throws refuses the payload instead of harming the node. */
function judge(
  schema: StandardSchema,
  value: unknown,
  channel: string,
): { readonly issues: readonly SchemaIssue[]; readonly logged: string } | undefined {
  try {
    const issues = issuesOf(schema, value, channel);
    return issues && { issues, logged: 'the payload does not fit its contract' };
  } catch (error) {
    const { name, message } = error instanceof Error ? error : { name: typeof error, message: 'the schema threw' };
    return { issues: [{ message }], logged: `the schema of "${channel}" threw, which refuses the payload: ${name}` };
  }
}

/** Admits a record: everything but permission, which came before. */
export function admitRecord(
  { policy, recordLimit }: Pick<Hub, 'policy' | 'recordLimit'>,
  identity: Identity,
  request: AppendRequest,
  now: number,
): Omit<PhysicalRecord, 'ticket'> | Refusal {
  if (request.payload === undefined)
    return { code: 'bad_frame', message: 'an append needs a payload: a line feed and the data behind its header' };
  if (request.expect !== undefined && request.key === undefined) {
    return { code: 'bad_frame', message: '"expect" is about a key: give "key" too' };
  }
  if (request.expect !== undefined && parseCursor(request.expect) === undefined) {
    return { code: 'bad_cursor', message: '"expect" is not a cursor' };
  }
  const rules = policy.rules(request.channel) as NamespaceRules;
  const admitted = admitPayload(
    policy,
    rules,
    { channel: request.channel, encoding: request.encoding, payload: request.payload },
    'record',
    recordLimit.of(rules),
  );
  if ('code' in admitted) return admitted;
  return {
    channel: request.channel,
    kind: 'data',
    encoding: request.encoding,
    payload: admitted.payload,
    time: now,
    user: identity.user,
    rid: request.rid,
    key: request.key,
    expect: request.expect,
    trace: request.trace,
  };
}
