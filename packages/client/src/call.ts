/** Calls of methods of the application, for those that make any. */
export { call, type CallOptions } from './call-method.ts';
