/**
 * Every limit and default of the protocol, in one place, with its unit and its reason (PROTOCOL.md LIM-1).
 * The server announces those a client must know in the `ok` of `hello`.
 */

const KIB = 1024;

export const limits = {
  /** Largest record payload, unless its namespace raises it. */
  recordBytes: 256 * KIB,
  /** No namespace may raise `recordBytes` beyond this. */
  recordBytesMax: 16 * 1024 * KIB,
  /** A message may be this much larger than the largest record: room for the header line. */
  headerBytes: 8 * KIB,
  /** Channels named in one `subscribe`. */
  channelsPerFrame: 100,
  /** Subscriptions of one session; a client that resumes them all is not rate-limited. */
  subscriptions: 1_000,
  /** Records in one page of history, and the N of `last:N`. */
  pageRecords: 1_000,
  /** Globs of one feed: each channel is held against all of them. */
  feedGlobs: 100,
  /** Bytes in one page of history (at least one record is given, however large). */
  pageBytes: 1024 * KIB,
  /** Items in one HTTP batch. */
  batchItems: 1_000,
  /** The body of an HTTP batch, unless one largest record in base64 needs more. */
  batchBytes: 4 * 1024 * KIB,
  /** Any other HTTP body that is no record or signal: 1,000 channel names, each with its cursor, fit. */
  bodyBytes: 512 * KIB,
  /** Channels of one `GET /v1/events` and of one ticket: the parameter is repeated in a URL that browsers and proxies cut at 8 KiB. */
  eventSourceChannels: 16,
  /** A signal's payload: signals are copied to every follower and never stored. */
  signalBytes: 16 * KIB,
  /** The argument of a call, and its result: from node to node they go as signals of the log, of which brokers take 1 MiB. */
  callBytes: 256 * KIB,
  /** A method's name. */
  methodLength: 64,
  /** Methods of one server: their names stand in every beat of its node. */
  methods: 100,
  /** A record's key, in UTF-8 bytes. */
  keyBytes: 128,
  /** A record's rid, in printable ASCII characters. */
  ridLength: 64,
  /** A user's name, in UTF-8 bytes. */
  userBytes: 255,
  /** A client's own name and version in `hello`. */
  clientLength: 128,
  /** Commands of one session that have no answer yet; beyond it its socket is not read. */
  commandsInFlight: 64,
  /** Channels of one session with commands under way, or with an append refused for now (APP-3). */
  channelsUnderWay: 4_096,
  /** The header of an HTTP request. */
  httpHeaderBytes: 16 * KIB,
  /** Requests that wait for those in front of them on an HTTP/1.1 connection: what comes in one read can be many. */
  requestsWaiting: 100,
  /** Requests and streams at once on a connection of HTTP/2. */
  requestsAtOnce: 100,
  /** Gaps, or duplicates, in one `report`. */
  reported: 1_000_000,
  /** Frames in a row that are not understood, before the connection is closed. */
  badFramesInRow: 10,
} as const;

export const timing = {
  /** How often the server pings; below the 60 s after which common proxies cut an idle connection. */
  pingMs: 25_000,
  /** How long a pong may take. */
  pongTimeoutMs: 10_000,
  /** How long a connection may live without a successful `hello`. */
  helloMs: 10_000,
  /** How long an append may be repeated inside the node before it is `unconfirmed`. */
  appendMs: 10_000,
  /** How long a call may take until it is `unanswered`. */
  callMs: 10_000,
  /** How long a node that is behind lets a subscriber wait. */
  behindMs: 5_000,
  /** Longest wait of a read. */
  waitMs: 60_000,
  /** An SSE comment goes out this often on a quiet stream. */
  commentMs: 15_000,
  /** How long the header of an HTTP request may take to come in. */
  headerMs: 10_000,
  /** How long all of an HTTP request may take to come in. */
  requestMs: 60_000,
  /** How long an HTTP/1.1 connection without a request is kept: longer than proxies keep theirs (HTTP-14). */
  keepAliveMs: 75_000,
  /** How long a peer may take nothing of an answer or a stream before the connection is cut. */
  unreadMs: 60_000,
  /** How long a ticket lives. */
  ticketMs: 3_600_000,
  /** What a retryable error suggests when nothing better is known. */
  retryMs: 1_000,
} as const;
