/**
 * A run: successive frames of one channel joined in one stored value, under the position of its last record. Young
 * records lie in short runs, as they were written; settled ones in full runs (pages), which are five times cheaper to
 * read. Both have the same form.
 */
import { frameLength } from './frame.ts';
import type { VisibleRecord } from './view.ts';

/** A full run: this many frames, or this many bytes, whichever comes first. */
export const RUN_RECORDS = 64;
export const RUN_BYTES = 64 * 1024;

/** How the header line of every record begins (PROTOCOL.md REC-1). */
const BEFORE_CHANNEL = '{"op":"record","channel":"'.length;
const BEFORE_CURSOR = '","cursor":"'.length;
const BEFORE_PREV = '","prev":"'.length;
const BEFORE_TIME = '","time":'.length;
const LENGTHS = '0123456789AB';

/** The frames of a run in order, each with its cursors, read out of its bytes; nothing is copied. */
export function splitRun(channel: string, run: Buffer): VisibleRecord[] {
  const records: VisibleRecord[] = [];
  for (let at = 0; at < run.length;) {
    const length = frameLength(run, at);
    records.push(recordAt(channel, run, at, length));
    at += length;
  }
  return records;
}

/** The frames of a run alone: for who only moves them. */
export function splitFrames(run: Buffer): { readonly frame: Buffer }[] {
  const frames: { readonly frame: Buffer }[] = [];
  for (let at = 0; at < run.length;) {
    const length = frameLength(run, at);
    frames.push({ frame: run.subarray(at, at + length) });
    at += length;
  }
  return frames;
}

/** The record that a frame is, with its cursors read out of its bytes. */
export function recordOf(channel: string, frame: Buffer): VisibleRecord {
  return recordAt(channel, frame, 0, frame.length);
}

export function joinFrames(records: readonly { readonly frame: Buffer }[]): Buffer {
  return records.length === 1
    ? (records[0] as { readonly frame: Buffer }).frame
    : Buffer.concat(records.map((record) => record.frame));
}

/** Cuts frames into runs that are full, save the last. */
export function cutIntoRuns<T extends { readonly frame: Buffer }>(records: readonly T[]): T[][] {
  const runs: T[][] = [];
  let run: T[] = [];
  let bytes = 0;
  for (const record of records) {
    if (run.length === RUN_RECORDS || (bytes > 0 && bytes + record.frame.length > RUN_BYTES)) {
      runs.push(run);
      run = [];
      bytes = 0;
    }
    run.push(record);
    bytes += record.frame.length;
  }
  if (run.length > 0) runs.push(run);
  return runs;
}

/** True when nothing is gained by joining the run with what follows it. */
export function isFullRun(records: number, bytes: number): boolean {
  return records >= RUN_RECORDS || bytes >= RUN_BYTES / 2;
}

function recordAt(channel: string, run: Buffer, at: number, length: number): VisibleRecord {
  const cursorAt = lineStart(run, at) + BEFORE_CHANNEL + channel.length + BEFORE_CURSOR;
  const cursorLength = cursorLengthAt(run, cursorAt);
  const prevAt = cursorAt + cursorLength + BEFORE_PREV;
  const cursor = run.toString('latin1', cursorAt, cursorAt + cursorLength);
  return {
    position: cursor.slice(7, -5),
    cursor,
    prev: run.toString('latin1', prevAt, prevAt + cursorLengthAt(run, prevAt)),
    frame: run.subarray(at, at + length),
  };
}

/** The time a record's frame carries; `undefined` where its log gave none. */
export function timeOf(channel: string, { frame }: VisibleRecord): number | undefined {
  const cursorAt = lineStart(frame, 0) + BEFORE_CHANNEL + channel.length + BEFORE_CURSOR;
  const prevAt = cursorAt + cursorLengthAt(frame, cursorAt) + BEFORE_PREV;
  const timeAt = prevAt + cursorLengthAt(frame, prevAt) + BEFORE_TIME;
  const time = Number.parseInt(frame.toString('latin1', timeAt, timeAt + 16), 10);
  return Number.isNaN(time) ? undefined : time;
}

/** Where the header line of the frame at `at` begins: behind 2, 4 or 10 bytes of WebSocket head. */
function lineStart(bytes: Buffer, at: number): number {
  const short = (bytes[at + 1] as number) & 0x7f;
  return at + (short < 126 ? 2 : short === 126 ? 4 : 10);
}

/** 6 of epoch, a dot, the position (its first digit says how many follow), a dot, 4 of tag (PROTOCOL.md CUR-1). */
function cursorLengthAt(bytes: Buffer, at: number): number {
  return 6 + 1 + 1 + LENGTHS.indexOf(String.fromCharCode(bytes[at + 7] as number)) + 1 + 4;
}
