/** The page of the browser tests: it hands the client to whoever drives the browser. */
import { connect, indexedDbOutbox } from '@tideway/client';

const page = { connect, indexedDbOutbox };
export type Page = typeof page;

Object.assign(globalThis, { tideway: page });
