/** The page of the browser tests: it hands the client to whoever drives the browser. */
import { connect } from '@tideway/client';
import { indexedDbOutbox } from '@tideway/client/indexeddb';

const page = { connect, indexedDbOutbox };
export type Page = typeof page;

Object.assign(globalThis, { tideway: page });
