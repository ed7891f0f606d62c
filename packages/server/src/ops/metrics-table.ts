/**
 * The one table of metrics: what `/metrics` shows, and docs/reference/metrics.md. Labels have few values, all known in
 * advance: namespaces come from the configuration, partitions from the log, codes from the protocol; never a channel,
 * never a user.
 */

export type MetricLabel =
  | 'namespace'
  | 'method'
  | 'transport'
  | 'code'
  | 'result'
  | 'limit'
  | 'quantile'
  | 'version'
  | 'partition';

interface MetricBase {
  /** With prefix and unit; counters end in `_total`. */
  readonly name: string;
  readonly labels: readonly MetricLabel[];
  readonly help: string;
}

export type Metric =
  | (MetricBase & { readonly type: 'counter' | 'gauge' })
  | (MetricBase & { readonly type: 'histogram'; readonly buckets: readonly number[] });

/** One record to what fits a batch of the log. */
const RECORDS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000] as const;
/** Half a millisecond to ten seconds. */
const SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10] as const;

export const metricTable = {
  buildInfo: {
    name: 'tideway_build_info',
    type: 'gauge',
    labels: ['version'],
    help: 'Always 1: which version runs.',
  },
  nodeReady: { name: 'tideway_node_ready', type: 'gauge', labels: [], help: '1 while the node takes sessions.' },
  nodeDraining: { name: 'tideway_node_draining', type: 'gauge', labels: [], help: '1 while the node is stopping.' },
  nodes: { name: 'tideway_nodes', type: 'gauge', labels: [], help: 'Nodes on this log, this one included.' },
  toFill: {
    name: 'tideway_view_to_fill',
    type: 'gauge',
    labels: [],
    help: 'Positions of the log that are still to be read before every place is answered; 0 once the view is filled.',
  },
  logUp: {
    name: 'tideway_log_up',
    type: 'gauge',
    labels: [],
    help: '1 while the log takes records in all partitions.',
  },
  partitionUp: {
    name: 'tideway_log_partition_up',
    type: 'gauge',
    labels: ['partition'],
    help: '1 while this partition of the log takes records.',
  },
  logDown: {
    name: 'tideway_log_down_total',
    type: 'counter',
    labels: [],
    help: 'How often the log, or a part of it, stopped taking records.',
  },
  sessions: { name: 'tideway_sessions', type: 'gauge', labels: ['transport'], help: 'Sessions that are open now.' },
  subscriptions: { name: 'tideway_subscriptions', type: 'gauge', labels: [], help: 'Subscriptions that are open now.' },
  channels: { name: 'tideway_channels', type: 'gauge', labels: [], help: 'Channels that somebody follows now.' },
  sessionsOpened: {
    name: 'tideway_sessions_opened_total',
    type: 'counter',
    labels: ['transport'],
    help: 'Connections that became sessions.',
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
    help: 'Finding out who somebody is, at a hello, a refresh or a request; result is `ok` or a code.',
  },
  tokenRefreshes: {
    name: 'tideway_token_refreshes_total',
    type: 'counter',
    labels: [],
    help: 'Tokens refreshed while connected.',
  },
  connectionsRefused: {
    name: 'tideway_connections_refused_total',
    type: 'counter',
    labels: [],
    help: 'Connections turned away so that file descriptors are left for what is open.',
  },
  framesReceived: {
    name: 'tideway_frames_received_total',
    type: 'counter',
    labels: [],
    help: 'Frames received from WebSockets.',
  },
  bytesReceived: {
    name: 'tideway_bytes_received_total',
    type: 'counter',
    labels: [],
    help: 'Bytes of frames received from WebSockets.',
  },
  chunksSent: {
    name: 'tideway_chunks_sent_total',
    type: 'counter',
    labels: [],
    help: 'Pieces queued for sockets; what a channel got in one tick is one piece.',
  },
  bytesSent: { name: 'tideway_bytes_sent_total', type: 'counter', labels: [], help: 'Bytes handed to sockets.' },
  socketWrites: {
    name: 'tideway_socket_writes_total',
    type: 'counter',
    labels: [],
    help: 'Writes to sockets; records delivered divided by this is how well they are joined.',
  },
  appends: {
    name: 'tideway_appends_total',
    type: 'counter',
    labels: ['namespace', 'result'],
    help: 'Appends answered by the log: `stored`, `duplicate`, or the code of the refusal.',
  },
  appendSeconds: {
    name: 'tideway_append_seconds',
    type: 'histogram',
    labels: ['namespace'],
    buckets: SECONDS,
    help: 'From queueing a record to its durable acknowledgement.',
  },
  commitSeconds: {
    name: 'tideway_log_commit_seconds',
    type: 'histogram',
    labels: [],
    buckets: SECONDS,
    help: 'One write of the log, with its sync: how fast the disk is.',
  },
  batchRecords: {
    name: 'tideway_log_batch_records',
    type: 'histogram',
    labels: [],
    buckets: RECORDS,
    help: 'Records that one write of the log carried.',
  },
  appendsInFlight: {
    name: 'tideway_appends_in_flight',
    type: 'gauge',
    labels: [],
    help: 'Appends that have no answer yet.',
  },
  deliverySeconds: {
    name: 'tideway_delivery_seconds',
    type: 'histogram',
    labels: ['namespace'],
    buckets: SECONDS,
    help: 'From the first record of a tick that was applied to the writes to the sockets, once per channel and tick.',
  },
  recordsDelivered: {
    name: 'tideway_records_delivered_total',
    type: 'counter',
    labels: [],
    help: 'Records handed to followers.',
  },
  signalsDelivered: {
    name: 'tideway_signals_delivered_total',
    type: 'counter',
    labels: [],
    help: 'Signals handed to followers.',
  },
  signalsDropped: {
    name: 'tideway_signals_dropped_total',
    type: 'counter',
    labels: [],
    help: 'Signals dropped: over their sender’s rate, or for a follower without room.',
  },
  calls: {
    name: 'tideway_calls_total',
    type: 'counter',
    labels: ['method', 'result'],
    help: 'Calls that this node carried out or refused, on whichever node they came in: `ok`, or the code of the refusal.',
  },
  callSeconds: {
    name: 'tideway_call_seconds',
    type: 'histogram',
    labels: ['method'],
    buckets: SECONDS,
    help: 'Carrying out a call of a method that this node serves.',
  },
  resumes: {
    name: 'tideway_resumes_total',
    type: 'counter',
    labels: ['namespace', 'result'],
    help: 'Places taken up again: `resumed`, or why not (`trimmed`, `diverged`, `epoch`).',
  },
  catchUpSeconds: {
    name: 'tideway_catch_up_seconds',
    type: 'histogram',
    labels: ['namespace'],
    buckets: SECONDS,
    help: 'Subscriptions that had to read on, at their start or because they fell behind: how long until they were live.',
  },
  historySeconds: {
    name: 'tideway_history_seconds',
    type: 'histogram',
    labels: ['namespace'],
    buckets: SECONDS,
    help: 'Reading a page of history; without the time a long read waits.',
  },
  recordsTrimmed: {
    name: 'tideway_records_trimmed_total',
    type: 'counter',
    labels: ['namespace'],
    help: 'Records that retention let go of.',
  },
  ridWindow: {
    name: 'tideway_rid_window_seconds',
    type: 'gauge',
    labels: [],
    help: 'How far back a repeated append is recognized.',
  },
  clientGaps: {
    name: 'tideway_client_gaps_total',
    type: 'counter',
    labels: [],
    help: 'Holes that clients saw and reported: must stay 0.',
  },
  clientDuplicates: {
    name: 'tideway_client_duplicates_total',
    type: 'counter',
    labels: [],
    help: 'Duplicates that clients saw, dropped and reported.',
  },
  outboxBytes: {
    name: 'tideway_outbox_bytes',
    type: 'gauge',
    labels: [],
    help: 'Bytes that wait to be sent, all sessions together.',
  },
  httpBytes: {
    name: 'tideway_http_bytes',
    type: 'gauge',
    labels: [],
    help: 'Bytes of HTTP answers that were not taken yet, and of bodies without an answer.',
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
    labels: [],
    help: 'Subscriptions that fell back to a place because their session reads slowly.',
  },
  ringBytes: {
    name: 'tideway_ring_bytes',
    type: 'gauge',
    labels: [],
    help: 'Bytes of the newest records kept in memory.',
  },
  limitHits: {
    name: 'tideway_limit_hits_total',
    type: 'counter',
    labels: ['limit'],
    help: 'How often somebody ran into a limit.',
  },
  errors: {
    name: 'tideway_errors_total',
    type: 'counter',
    labels: ['code'],
    help: 'Error frames and error answers, by code.',
  },
  diskFree: { name: 'tideway_disk_free_bytes', type: 'gauge', labels: [], help: 'Room left where the data folder is.' },
  eventLoopLag: {
    name: 'tideway_event_loop_lag_seconds',
    type: 'gauge',
    labels: ['quantile'],
    help: 'How late the event loop turned since the last scrape: half of the time, 99 of 100 times, at worst.',
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
  openDescriptors: {
    name: 'process_open_fds',
    type: 'gauge',
    labels: [],
    help: 'Open file descriptors (0 on Windows).',
  },
  maxDescriptors: {
    name: 'process_max_fds',
    type: 'gauge',
    labels: [],
    help: 'File descriptors that the process may have open (0 on Windows).',
  },
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
