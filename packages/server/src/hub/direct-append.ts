/** An append without a session: HTTP requests and the server's own records take the same gate as frames do. */
import { TidewayError } from '@tideway/protocol';
import type { Identity } from '../auth/identity.ts';
import { admitRecord, authorize, type AppendRequest } from './admission.ts';
import type { Hub } from './hub.ts';
import type { Appended, NewRecord } from './record-appender.ts';
import { UNDECIDED, withRetry, type Refusal } from './refusal.ts';

/** Appends one record as this identity; never rejects. */
export async function appendDirectly(hub: Hub, identity: Identity, request: AppendRequest): Promise<Appended> {
  return await guarded(async () => {
    const refusal = await authorize(hub.policy, identity, 'append', request.channel);
    return refusal === undefined ? await appendPermitted(hub, identity, request) : { state: 'error', ...refusal };
  });
}

/** Appends several: those of a channel in order, all of them in as few writes of the log as may be; never rejects. */
export async function appendInOrder(
  hub: Hub,
  identity: Identity,
  requests: readonly AppendRequest[],
): Promise<readonly Appended[]> {
  const channels = [...new Set(requests.map(({ channel }) => channel))];
  const refusals = new Map(
    await Promise.all(
      channels.map(async (channel) => {
        const refusal = await guarded(async () => {
          const refused = await authorize(hub.policy, identity, 'append', channel);
          return refused === undefined ? PERMITTED : { state: 'error', ...refused };
        });
        return [channel, refusal] as const;
      }),
    ),
  );
  return await Promise.all(
    requests.map(async (request) => {
      const refusal = refusals.get(request.channel) as Appended;
      return refusal === PERMITTED ? await guarded(() => appendPermitted(hub, identity, request)) : refusal;
    }),
  );
}

const PERMITTED: Appended = { state: 'ok', cursor: '', duplicate: false };

/** Hands the record over before it returns: the order of calls is the order in the log. */
function appendPermitted(hub: Hub, identity: Identity, request: AppendRequest): Promise<Appended> {
  const { channel, rid } = request;
  const admit = (): NewRecord | Refusal => {
    const admitted = admitRecord(hub, identity, request, hub.env.now());
    if ('code' in admitted && admitted.code === 'too_large') hub.figures.hit('recordBytes');
    return admitted;
  };
  const id = { channel, user: identity.user, rid };
  return new Promise((resolve) => hub.backbones.appender(channel).submit(id, admit, resolve));
}

/** Appends a control of the channel, if this identity may administer it: `trim` or `close`. */
export async function appendControl(
  hub: Hub,
  identity: Identity,
  channel: string,
  kind: 'trim' | 'close',
): Promise<Appended> {
  return await guarded(async () => {
    const refusal = await authorize(hub.policy, identity, 'admin', channel);
    if (refusal !== undefined) return { state: 'error', ...refusal };
    await hub.backbones.view(channel).ready(channel);
    const state = hub.backbones.view(channel).state(channel);
    // Closing a closed channel gives the same answer.
    if (kind === 'close' && state.closed) return { state: 'ok', cursor: state.place, duplicate: true };
    const { user } = identity;
    const record = { channel, kind, encoding: 'json', payload: Buffer.alloc(0), time: hub.env.now(), user } as const;
    const result = await new Promise<Appended>((resolve) => hub.backbones.appender(channel).append(record, resolve));
    return result.state === 'ok' && kind === 'close'
      ? { ...result, cursor: hub.backbones.view(channel).state(channel).place }
      : result;
  });
}

async function guarded(append: () => Promise<Appended>): Promise<Appended> {
  try {
    const result = await append();
    return result.state === 'ok' ? result : withRetry(result);
  } catch (error) {
    if (error instanceof TidewayError)
      return { state: 'error', ...withRetry({ code: error.code, message: error.message }) };
    return { state: 'error', ...UNDECIDED };
  }
}
