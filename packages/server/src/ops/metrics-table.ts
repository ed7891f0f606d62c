/**
 * The one table of metrics: what `/metrics` shows, and docs/reference/metrics.md. Labels have few values, all known in
 * advance: namespaces come from the configuration, codes from the protocol; never a channel, never a user.
 */

export type MetricLabel = 'namespace' | 'transport' | 'code' | 'result' | 'reason' | 'limit' | 'version' | 'log';

interface MetricBase {
  /** With prefix and unit; counters end in `_total`. */
  readonly name: string;
  readonly labels: readonly MetricLabel[];
  readonly help: string;
}

export type Metric =
  | (MetricBase & { readonly type: 'counter' | 'gauge' })
  | (MetricBase & { readonly type: 'histogram'; readonly buckets: readonly number[] });

/** Half a millisecond to ten seconds. */
const SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10] as const;
const RECORDS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 5_000, 10_000, 100_000] as const;

export const metricTable = {
  buildInfo: {
    name: 'tideway_build_info',
    type: 'gauge',
    labels: ['version', 'log'],
    help: 'Always 1: which version runs, on which kind of log.',
  },
  nodeReady: { name: 'tideway_node_ready', type: 'gauge', labels: [], help: '1 while the node takes sessions.' },
  nodeDraining: { name: 'tideway_node_draining', type: 'gauge', labels: [], help: '1 while the node is stopping.' },
  sessions: { name: 'tideway_sessions', type: 'gauge', labels: ['transport'], help: 'Sessions that are open now.' },
  subscriptions: {
    name: 'tideway_subscriptions',
    type: 'gauge',
    labels: ['namespace'],
    help: 'Subscriptions that are open now.',
  },
  channels: {
    name: 'tideway_channels',
    type: 'gauge',
    labels: ['namespace'],
    help: 'Channels that somebody follows now.',
  },
  sessionsOpened: {
    name: 'tideway_sessions_opened_total',
    type: 'counter',
    labels: ['transport'],
    help: 'Sessions opened.',
  },
  sessionsClosed: {
    name: 'tideway_sessions_closed_total',
    type: 'counter',
    labels: ['transport', 'code'],
    help: 'Sessions ended, by code; `peer` where the other side went away.',
  },
  helloSeconds: {
    name: 'tideway_hello_seconds',
    type: 'histogram',
    labels: ['transport', 'result'],
    buckets: SECONDS,
    help: 'From connection to the answer of its hello, verification included; result is `ok` or a code.',
  },
  pingSeconds: {
    name: 'tideway_ping_rtt_seconds',
    type: 'histogram',
    labels: ['transport'],
    buckets: SECONDS,
    help: 'From ping to pong.',
  },
  framesReceived: {
    name: 'tideway_frames_received_total',
    type: 'counter',
    labels: ['transport'],
    help: 'Frames and requests received.',
  },
  bytesReceived: {
    name: 'tideway_bytes_received_total',
    type: 'counter',
    labels: ['transport'],
    help: 'Bytes of frames and bodies received.',
  },
  framesSent: {
    name: 'tideway_frames_sent_total',
    type: 'counter',
    labels: ['transport'],
    help: 'Frames, events and answers sent.',
  },
  bytesSent: {
    name: 'tideway_bytes_sent_total',
    type: 'counter',
    labels: ['transport'],
    help: 'Bytes of frames, events and answers sent.',
  },
  socketWrites: {
    name: 'tideway_socket_writes_total',
    type: 'counter',
    labels: ['transport'],
    help: 'Writes to sockets; frames sent divided by this is how well frames are joined.',
  },
  appends: {
    name: 'tideway_appends_total',
    type: 'counter',
    labels: ['namespace', 'result'],
    help: 'Appends answered: `stored`, `duplicate`, or the code of the refusal.',
  },
  appendSeconds: {
    name: 'tideway_append_seconds',
    type: 'histogram',
    labels: ['namespace'],
    buckets: SECONDS,
    help: 'From receiving a record to its durable acknowledgement.',
  },
  logCommitSeconds: {
    name: 'tideway_log_commit_seconds',
    type: 'histogram',
    labels: [],
    buckets: SECONDS,
    help: 'One batch: its write and its sync.',
  },
  logBatchRecords: {
    name: 'tideway_log_batch_records',
    type: 'histogram',
    labels: [],
    buckets: RECORDS,
    help: 'Records that share one sync.',
  },
  logUp: { name: 'tideway_log_up', type: 'gauge', labels: [], help: '1 while the log takes records.' },
  logErrors: {
    name: 'tideway_log_errors_total',
    type: 'counter',
    labels: ['code'],
    help: 'Batches the log did not store, by code.',
  },
  logBytes: { name: 'tideway_log_bytes', type: 'gauge', labels: [], help: 'Size of the embedded log.' },
  viewLagRecords: {
    name: 'tideway_view_lag_records',
    type: 'gauge',
    labels: [],
    help: 'Records of the log that this node has not applied.',
  },
  deliverySeconds: {
    name: 'tideway_delivery_seconds',
    type: 'histogram',
    labels: ['namespace', 'transport'],
    buckets: SECONDS,
    help: 'From receiving a record to writing it to a follower’s socket, one observation a tick and channel: what to promise.',
  },
  recordsDelivered: {
    name: 'tideway_records_delivered_total',
    type: 'counter',
    labels: ['namespace'],
    help: 'Records handed to followers.',
  },
  signalsDelivered: {
    name: 'tideway_signals_delivered_total',
    type: 'counter',
    labels: ['namespace'],
    help: 'Signals handed to followers.',
  },
  signalsDropped: {
    name: 'tideway_signals_dropped_total',
    type: 'counter',
    labels: ['namespace'],
    help: 'Signals dropped for a follower without room.',
  },
  resumes: {
    name: 'tideway_resumes_total',
    type: 'counter',
    labels: ['namespace', 'result'],
    help: 'Places taken up again: `resumed`, or the reason why not (`trimmed`, `diverged`, `epoch`, `behind`).',
  },
  resumeRecords: {
    name: 'tideway_resume_records',
    type: 'histogram',
    labels: ['namespace'],
    buckets: RECORDS,
    help: 'Records between place and head.',
  },
  resumeSeconds: {
    name: 'tideway_resume_seconds',
    type: 'histogram',
    labels: ['namespace'],
    buckets: SECONDS,
    help: 'From subscribe to live.',
  },
  clientGaps: {
    name: 'tideway_client_gaps_total',
    type: 'counter',
    labels: ['namespace'],
    help: 'Holes that clients saw and reported: must stay 0.',
  },
  clientDuplicates: {
    name: 'tideway_client_duplicates_total',
    type: 'counter',
    labels: ['namespace'],
    help: 'Duplicates that clients saw, dropped and reported.',
  },
  clientLagSeconds: {
    name: 'tideway_client_lag_seconds',
    type: 'histogram',
    labels: ['namespace'],
    buckets: SECONDS,
    help: 'How far behind clients report to be.',
  },
  outboxBytes: {
    name: 'tideway_outbox_bytes',
    type: 'gauge',
    labels: [],
    help: 'Bytes that wait to be sent, all sessions together.',
  },
  outboxBehind: {
    name: 'tideway_outbox_paused_sessions',
    type: 'gauge',
    labels: [],
    help: 'Sessions with a subscription that is not live.',
  },
  outboxOverflows: {
    name: 'tideway_outbox_overflows_total',
    type: 'counter',
    labels: ['transport'],
    help: 'Subscriptions that fell back to a place because their session reads slowly.',
  },
  ringBytes: {
    name: 'tideway_ring_bytes',
    type: 'gauge',
    labels: [],
    help: 'Bytes of the newest records kept in memory.',
  },
  historySeconds: {
    name: 'tideway_history_seconds',
    type: 'histogram',
    labels: ['namespace'],
    buckets: SECONDS,
    help: 'Time to answer a page of history, waiting for records not included.',
  },
  tokenRefreshes: {
    name: 'tideway_token_refreshes_total',
    type: 'counter',
    labels: ['result'],
    help: 'Tokens refreshed while connected; `ok` or a code.',
  },
  limitHits: {
    name: 'tideway_limit_hits_total',
    type: 'counter',
    labels: ['limit'],
    help: 'Refusals because of a limit, by its setting.',
  },
  errors: {
    name: 'tideway_errors_total',
    type: 'counter',
    labels: ['code'],
    help: 'Error frames and error answers, by code.',
  },
  retentionRecords: {
    name: 'tideway_retention_records',
    type: 'gauge',
    labels: ['namespace'],
    help: 'Records the view holds.',
  },
  retentionBytes: {
    name: 'tideway_retention_bytes',
    type: 'gauge',
    labels: ['namespace'],
    help: 'Bytes of records the view holds.',
  },
  diskFreeBytes: {
    name: 'tideway_disk_free_bytes',
    type: 'gauge',
    labels: [],
    help: 'Room left where the data folder is.',
  },
  drainSeconds: {
    name: 'tideway_drain_seconds',
    type: 'gauge',
    labels: [],
    help: 'How long the drain has taken so far.',
  },
  eventLoopLag: {
    name: 'tideway_event_loop_lag_seconds',
    type: 'gauge',
    labels: ['result'],
    help: 'How late the event loop turned since the last scrape: `p50`, `p99`, `max`.',
  },
  metricsOverflow: {
    name: 'tideway_metrics_overflow_total',
    type: 'counter',
    labels: [],
    help: 'Label sets that were not made because there are too many; they are counted under the namespace `_other`.',
  },
  processCpu: {
    name: 'process_cpu_seconds_total',
    type: 'counter',
    labels: [],
    help: 'User and system CPU time of the process.',
  },
  processStart: {
    name: 'process_start_time_seconds',
    type: 'gauge',
    labels: [],
    help: 'When the process started, seconds since 1970.',
  },
  processMemory: {
    name: 'process_resident_memory_bytes',
    type: 'gauge',
    labels: [],
    help: 'Resident memory of the process.',
  },
  processFds: { name: 'process_open_fds', type: 'gauge', labels: [], help: 'Open file descriptors (Linux; else 0).' },
  heapUsed: { name: 'nodejs_heap_size_used_bytes', type: 'gauge', labels: [], help: 'JavaScript heap in use.' },
  externalMemory: {
    name: 'nodejs_external_memory_bytes',
    type: 'gauge',
    labels: [],
    help: 'Memory of buffers outside the heap.',
  },
} as const satisfies Readonly<Record<string, Metric>>;

export type MetricTable = typeof metricTable;
export type MetricKey = keyof MetricTable;
export const metricKeys = Object.keys(metricTable) as MetricKey[];
