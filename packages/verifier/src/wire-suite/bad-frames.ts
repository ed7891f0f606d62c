/** The frames that nobody understands (FRM-7), each with what is wrong with it; those with a usable id have 4711. */
import type { Fields } from './talk.ts';

/** Frames that are not understood, with what makes them so. */
export function badFrames(channel: string): readonly (readonly [what: string, frame: string])[] {
  const id = 4_711;
  const frame = (fields: Fields): string => JSON.stringify({ id, ...fields });
  return [
    ['no JSON', 'hello'],
    ['empty', ''],
    ['cut off JSON', '{"op":"pong"'],
    ['a list', '[1,2]'],
    ['a text', '"pong"'],
    ['null', 'null'],
    ['no op', frame({})],
    ['op of another type', frame({ op: 7 })],
    ['an unknown op', frame({ op: 'jump' })],
    ['an op of the server', frame({ op: 'record' })],
    ['no id', JSON.stringify({ op: 'subscribe', channel })],
    ...[0, -1, 1.5, '7', null, 2 ** 53].map((id): [string, string] => [
      `id ${JSON.stringify(id)}`,
      JSON.stringify({ op: 'subscribe', id, channel }),
    ]),
    ['no channel', frame({ op: 'subscribe' })],
    ['channel of another type', frame({ op: 'subscribe', channel: 7 })],
    ['channel and channels', frame({ op: 'subscribe', channel, channels: [channel] })],
    ['no channels', frame({ op: 'subscribe', channels: [] })],
    [
      'too many channels',
      frame({ op: 'subscribe', channels: Array.from({ length: 101 }, (_, i) => `${channel}-${i}`) }),
    ],
    ['channels of another type', frame({ op: 'subscribe', channels: 'x' })],
    ['an item of another type', frame({ op: 'subscribe', channels: [7] })],
    ['an item without channel', frame({ op: 'subscribe', channels: [{}] })],
    ['a channel twice', frame({ op: 'subscribe', channels: [channel, channel] })],
    ['from of another type', frame({ op: 'subscribe', channel, from: 7 })],
    ['presence of another type', frame({ op: 'subscribe', channel, presence: 'yes' })],
    ['deliver of another type', frame({ op: 'subscribe', channel, deliver: 'all' })],
    ['an unknown mode', frame({ op: 'subscribe', channel, deliver: { mode: 'some' } })],
    ['no channel to leave', frame({ op: 'unsubscribe' })],
    ['an append without rid', `${frame({ op: 'append', channel })}\n{}`],
    ['an append without payload', frame({ op: 'append', channel, rid: 'r' })],
    ['an append with an empty payload', `${frame({ op: 'append', channel, rid: 'r' })}\n`],
    ['a payload of white space', `${frame({ op: 'append', channel, rid: 'r' })}\n \t\r\n `],
    ['a payload that is no JSON', `${frame({ op: 'append', channel, rid: 'r' })}\n{text:1}`],
    ['two JSON values', `${frame({ op: 'append', channel, rid: 'r' })}\n1 2`],
    ['a byte order mark', `${frame({ op: 'append', channel, rid: 'r' })}\n\uFEFF1`],
    ['data and a payload', `${frame({ op: 'append', channel, rid: 'r', data: 1 })}\n1`],
    ['expect of another type', `${frame({ op: 'append', channel, rid: 'r', expect: 1 })}\n1`],
    ['restart of another type', `${frame({ op: 'append', channel, rid: 'r', restart: 1 })}\n1`],
    ['a token that is none', frame({ op: 'token', token: 7 })],
    ['no token', frame({ op: 'token' })],
    ['a report of another type', JSON.stringify({ op: 'report', channel, gaps: 'many' })],
    ['a report of half a gap', JSON.stringify({ op: 'report', channel, gaps: 0.5 })],
    ['a report of too many gaps', JSON.stringify({ op: 'report', channel, gaps: 1e308 })],
    ['a report of too many duplicates', JSON.stringify({ op: 'report', channel, duplicates: 1_000_001 })],
    ['a report below zero', JSON.stringify({ op: 'report', channel, lagMs: -1 })],
  ];
}
