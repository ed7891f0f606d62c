/** Looks at every byte of a segment file: which batches stand in it, and whether what follows them is a torn write. */
import type { TailRecord } from '../log.ts';
import { BatchReader, checkBatch, decodeBatch, type BatchBytes, type BatchFault } from './batch-reader.ts';
import type { DiskFile } from './disk.ts';
import type { Tear } from './known-end.ts';
import { BATCH_HEAD_BYTES, holdsBatchHead, SEGMENT_HEAD_BYTES, type SegmentHead } from './segment-format.ts';

const CHUNK_BYTES = 1024 * 1024;

export interface SegmentScan {
  readonly count: number;
  /** Where the whole batches end. */
  readonly bytes: number;
  /** Where each batch stands, by its first position. */
  readonly batches: readonly { readonly first: number; readonly offset: number }[];
  /** The last whole batch, as it stands in the file. */
  readonly lastBatch: { readonly offset: number; readonly bytes: Buffer; readonly lastRecord: TailRecord } | undefined;
  /** What stands behind them, when it is not the end. */
  readonly fault: BatchFault | undefined;
}

/** Reads a segment's batches up to byte `to`. */
export async function scanSegment(file: DiskFile, head: SegmentHead, to: number): Promise<SegmentScan> {
  const reader = new BatchReader(file, { from: SEGMENT_HEAD_BYTES, to, salt: head.salt, chunkBytes: CHUNK_BYTES });
  const batches: { first: number; offset: number }[] = [];
  let last: BatchBytes | undefined;
  let fault: BatchFault | undefined;
  let next = head.first;
  for (;;) {
    const batch = await reader.next();
    if (batch === undefined) break;
    fault = 'problem' in batch ? batch : (outOfOrder(batch, next) ?? checkBatch(batch));
    if ('problem' in batch || fault !== undefined) break;
    batches.push({ first: batch.head.first, offset: batch.offset });
    next += batch.head.count;
    last = batch;
  }
  return {
    count: next - head.first,
    bytes: last?.end ?? SEGMENT_HEAD_BYTES,
    batches,
    lastBatch: last === undefined ? undefined : lastBatchOf(last),
    fault,
  };
}

function outOfOrder(batch: BatchBytes, next: number): BatchFault | undefined {
  if (batch.head.first === next && batch.head.count > 0) return undefined;
  return {
    offset: batch.offset,
    problem: `record ${next} is missing: here stands ${batch.head.first}`,
    misplaced: true,
  };
}

function lastBatchOf(batch: BatchBytes): SegmentScan['lastBatch'] {
  const number = batch.head.first + batch.head.count - 1;
  const decoded = decodeBatch(batch, number - 1, number);
  if ('problem' in decoded) return undefined;
  const bytes = batch.bytes.subarray(batch.at - BATCH_HEAD_BYTES, batch.limit);
  return { offset: batch.offset, bytes, lastRecord: decoded[0] as TailRecord };
}

/** What is known of the end of a log's last segment. */
export interface SegmentEnd {
  readonly fileBytes: number;
  /** No write is larger. */
  readonly writeBytesMax: number;
  /** So much was whole and durable before. */
  readonly knownBytes: number;
  /** What a write may have left that was interrupted. */
  readonly tear: Tear;
}

/**
 * Whether what a scan stopped at can be a write that a crash interrupted: it is the last thing in the file, no larger
 * than one write, and nothing whole follows it, since the log writes a batch only when the one before it is durable.
 * Anything else is damage; so is what was whole before, and of a write that a kill interrupted all but a beginning.
 */
export async function isTornWrite(
  file: DiskFile,
  head: SegmentHead,
  scan: SegmentScan,
  limits: SegmentEnd,
): Promise<boolean> {
  const { fault, bytes } = scan;
  const rest = limits.fileBytes - bytes;
  if (fault === undefined || fault.misplaced === true || rest > limits.writeBytesMax) return false;
  if (bytes < limits.knownBytes) return false;
  if (limits.tear === 'beginning')
    return fault.end === undefined ? rest < BATCH_HEAD_BYTES : fault.end > limits.fileBytes;
  if (fault.end !== undefined) return fault.end >= limits.fileBytes;
  const left = Buffer.allocUnsafeSlow(rest);
  const count = await file.read(left, bytes);
  return !holdsBatchHead(left.subarray(0, count), 1, head.salt);
}
