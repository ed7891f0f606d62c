/**
 * The closed list of what the server logs: one line of the log has one of these events. docs/reference/logs.md is made
 * from it.
 */

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export interface LogEventEntry {
  readonly level: LogLevel;
  readonly meaning: string;
}

export const logEvents = {
  'server.started': { level: 'info', meaning: 'The log is open and the view true: requests are answered.' },
  'server.listening': { level: 'info', meaning: 'A port is open.' },
  'server.stopping': { level: 'info', meaning: 'A stop was asked for; the drain begins.' },
  'server.stopped': { level: 'info', meaning: 'Everything is flushed and closed.' },
  'server.failed': { level: 'error', meaning: 'An error that nobody caught; the process flushes, closes and ends.' },
  'drain.step': { level: 'info', meaning: 'How far the drain has come.' },
  'session.opened': {
    level: 'debug',
    meaning: 'A WebSocket or an event stream was opened; who is on a WebSocket is known after its hello.',
  },
  'session.closed': { level: 'debug', meaning: 'A session ended, with its code.' },
  'session.refused': { level: 'info', meaning: 'Credentials, origin, host or a limit did not let somebody in.' },
  'session.ended': {
    level: 'info',
    meaning: 'The server ended a session, with the code and `ref` that its client was told.',
  },
  'session.disconnected': { level: 'info', meaning: 'All sessions of a user were ended on request.' },
  'request.refused': { level: 'info', meaning: 'A frame or an HTTP request was answered with a final error.' },
  'request.failed': { level: 'error', meaning: 'A fault of the server; the client was told `internal` with this ref.' },
  'append.refused': { level: 'info', meaning: 'A record was not stored, with the code that says why.' },
  'append.unconfirmed': { level: 'warn', meaning: 'The log did not say whether a record is stored.' },
  'call.unanswered': {
    level: 'warn',
    meaning:
      'A call was not answered in its time, or by a node that has gone: nobody knows whether it was carried out.',
  },
  'fault.caught': {
    level: 'error',
    meaning:
      'A fault of the server that was caught: one request, session or subscription failed of it, with its own line.',
  },
  'callback.failed': { level: 'error', meaning: 'A function of the application threw; nobody else is harmed.' },
  'auth.jwks_failed': { level: 'warn', meaning: 'A JWK set could not be read; the keys known before stay in use.' },
  'log.up': { level: 'info', meaning: 'The log takes records again, save in `partitionsDown`, where there are any.' },
  'log.down': {
    level: 'error',
    meaning: 'The log takes no records, or none in `partitionsDown`; reads are still served.',
  },
  'log.tail_ended': { level: 'error', meaning: 'The log can no longer be followed; what is shown may be stale.' },
  'log.repaired': {
    level: 'warn',
    meaning: 'A torn end, left by a crash, was cut off; nothing acknowledged was in it.',
  },
  'log.removal_failed': {
    level: 'warn',
    meaning: 'A segment that is no longer needed could not be deleted; it is tried again.',
  },
  'view.rebuilt': { level: 'warn', meaning: 'The view was missing or damaged and was made again from the log.' },
  'view.failed': { level: 'error', meaning: 'A write to the view failed; it is opened again and read back.' },
  'view.recovered': { level: 'info', meaning: 'The view is written again; nothing was lost.' },
  'view.upkeep_failed': { level: 'warn', meaning: 'Trimming or settling pages failed; it is tried again.' },
  'view.forerunner_failed': {
    level: 'warn',
    meaning: 'Nothing can be served near the end of the log meanwhile: clients wait until the view has read it.',
  },
  'view.clock_in_doubt': {
    level: 'warn',
    meaning: 'The clock stepped; no record is trimmed by age until it is plain what time it is.',
  },
  'node.joined': { level: 'info', meaning: 'Another node of the same log was heard of.' },
  'node.left': { level: 'info', meaning: 'Another node said goodbye.' },
  'node.other_ticket_key': {
    level: 'warn',
    meaning:
      'Another node of the same log signs tickets with another key, so neither takes those of the other: set the same `auth.ticketSecret` on all nodes. Said once.',
  },
  'node.gone': { level: 'warn', meaning: 'Another node was not heard of for ten seconds.' },
  'worker.started': { level: 'info', meaning: 'A worker of this server takes connections.' },
  'worker.stuck': { level: 'error', meaning: 'A worker said nothing for 15 s; it is killed, and started again.' },
  'worker.ended': {
    level: 'warn',
    meaning: 'The process of a worker ended; unless the server stops, it is started again.',
  },
  'tls.loaded': { level: 'info', meaning: 'A certificate is in use, from start or from a change of its files.' },
  'tls.failed': { level: 'error', meaning: 'Changed certificate files do not fit; the ones before stay in use.' },
  'tls.expiring': { level: 'warn', meaning: 'The certificate ends within two weeks.' },
  'connections.refused': {
    level: 'warn',
    meaning:
      'Connections have all the file descriptors they may have; new ones are turned away, those that are open live.',
  },
  'descriptors.low': {
    level: 'warn',
    meaning:
      'Nine tenths of the file descriptors of the process are in use; said again only after it was less than eight.',
  },
} as const satisfies Readonly<Record<string, LogEventEntry>>;

export type LogEvent = keyof typeof logEvents;
