/**
 * What a server answers by the `id` of what it was asked (WS-2).
 */
import type { ClientFrame, ServerFrame } from '@tideway/protocol';

export type ErrorFrame = Extract<ServerFrame, { op: 'error' }>;
export type Answer = Extract<ServerFrame, { op: 'ok' }> | ErrorFrame;
/** A frame that is answered, before its id is known. */
export type Request = ClientFrame extends infer F ? (F extends { readonly id: number } ? Omit<F, 'id'> : never) : never;
