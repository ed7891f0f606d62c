/**
 * The public surface of `@tideway/client`, for browsers and Node.
 */
export { type Code, contract, type Contract, type GapReason, TidewayError } from '@tideway/protocol';
export type { AppendOptions, Channel } from './channel.ts';
export type { Client, ClientEvents, FailedAppend } from './client.ts';
export { connect, type ConnectOptions } from './connect.ts';
export type { ClientState } from './core.ts';
export type { TokenReason, TokenSource } from './credentials.ts';
export type { OutboxEntry, OutboxStore } from './outbox-store.ts';
export type { Receipt, ReceiptState, Stored } from './receipt.ts';
export type {
  ChannelItem,
  ChannelReader,
  ChannelRecord,
  ChannelSignal,
  Gap,
  HistoryOptions,
  HistoryPage,
  OnGap,
  ReadOptions,
} from './record.ts';
export { GapError } from './record.ts';
export type { Stoppable } from './stoppable.ts';
export type { TransportChoice } from './transports.ts';
