/**
 * Records as anybody may have put them on a broker, crowded with what the fold's rules are about: repeats and repeats of
 * repeats, contested keys, closes, trims, misplaced ones, and what no frame can be made of. Positions lie close together,
 * or about a window apart, so that the rules meet their limits whatever the window is.
 */
import * as fc from 'fast-check';
import { encodePositionNumber, formatCursor } from '@tideway/protocol';
import { fromNative, type NativeRecord } from '../../log/broker/native-record.ts';
import type { TailRecord } from '../../log/log.ts';
import { recordTag } from '../../log/record.ts';

export const EPOCH = 'epochA';
export const CHANNELS = ['chat:1', 'chat:2', 'chat:3'] as const;
/** Its records belong into another partition. */
export const FAR_CHANNEL = 'far:1';

export function partitionOf(channel: string): number {
  return channel === FAR_CHANNEL ? 1 : 0;
}

export interface ForeignLog {
  readonly window: number;
  readonly records: readonly TailRecord[];
}

/** How far a record stands behind the one before it: mostly the next position. */
type Step = 'next' | 'some' | 'third' | 'half' | 'almost a window' | 'a window' | 'over a window';

function stepOf(step: Step, window: number): number {
  switch (step) {
    case 'next':
      return 1;
    case 'some':
      return 1 + (window >> 3);
    case 'third':
      return 1 + Math.floor(window / 3);
    case 'half':
      return 1 + (window >> 1);
    case 'almost a window':
      return Math.max(1, window - 1);
    case 'a window':
      return window;
    case 'over a window':
      return window + 1;
    default:
      return step satisfies never;
  }
}

const poison: fc.Arbitrary<Pick<NativeRecord, 'channel' | 'value' | 'headers'>> = fc.constantFrom(
  { channel: 'chat:1', value: Buffer.of(0xff, 0xfe), headers: new Map() },
  { channel: 'chat:1', value: Buffer.from('{"half":'), headers: new Map() },
  { channel: 'chat:2', value: Buffer.from('1},"user":"admin"'), headers: new Map() },
  { channel: 'chat:2', value: Buffer.alloc(0), headers: new Map() },
  { channel: undefined, value: Buffer.from('1'), headers: new Map() },
  { channel: 'no channel', value: Buffer.from('1'), headers: new Map() },
  { channel: '', value: Buffer.from('1'), headers: new Map([['tideway-rid', 'r1']]) },
  { channel: 'chat:1', value: Buffer.from('1'), headers: new Map([['tideway-kind', 'claim']]) },
  { channel: 'chat:1', value: Buffer.from('1'), headers: new Map([['tideway-rid', 'r\n1']]) },
  { channel: 'chat:1', value: Buffer.from('1'), headers: new Map([['tideway-encoding', 'gzip']]) },
);

/** Now and then, once in so many. */
function seldom<T>(arbitrary: fc.Arbitrary<T>, oneIn: number): fc.Arbitrary<T | undefined> {
  return fc.oneof({ weight: oneIn - 1, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary });
}

/**
 * What a record has to do with the one that stands so many records before it: it was sent again; its writer had read just
 * as far, and changed the same key; its writer had read that one.
 */
interface Bond {
  readonly kind: 'copy' | 'rival' | 'reader';
  readonly back: number;
}

const bond: fc.Arbitrary<Bond | undefined> = fc.oneof(
  { weight: 4, arbitrary: fc.constant(undefined) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('copy'), back: fc.constantFrom(1, 2, 4, 8) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('rival'), back: fc.constantFrom(1, 1, 2, 3) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('reader'), back: fc.integer({ min: 1, max: 9 }) }) },
);

const part = fc.record({
  poison: seldom(poison, 14),
  channel: fc.oneof(
    { weight: 12, arbitrary: fc.constantFrom<string>(...CHANNELS) },
    { weight: 1, arbitrary: fc.constant(FAR_CHANNEL) },
  ),
  kind: fc.oneof(
    { weight: 30, arbitrary: fc.constant('data') },
    { weight: 1, arbitrary: fc.constantFrom('trim', 'close') },
  ),
  rid: seldom(fc.integer({ min: 0, max: 9 }), 2),
  user: fc.constantFrom(undefined, 'ann'),
  key: seldom(fc.constantFrom('k', 'l'), 2),
  bond,
  step: fc.oneof(
    { weight: 20, arbitrary: fc.constant<Step>('next') },
    { weight: 4, arbitrary: fc.constant<Step>('some') },
    { weight: 2, arbitrary: fc.constantFrom<Step>('half', 'almost a window', 'a window', 'over a window') },
  ),
});

/** One after the other, and together further than a window: repeats of repeats, and changes that rest on changes. */
const chain = fc
  .tuple(
    fc.constantFrom({ kind: 'copy', step: 'half' } as const, { kind: 'rival', step: 'third' } as const),
    fc.array(part, { minLength: 3, maxLength: 9, size: 'max' }),
  )
  .map(([{ kind, step }, links]) =>
    links.map((one, i): Part => {
      const fixed = { poison: undefined, kind: 'data', channel: CHANNELS[0], key: 'k' } as const;
      const link = { ...one, ...fixed, step };
      return i === 0 ? { ...link, rid: 0, bond: undefined } : { ...link, bond: { kind, back: 1 } };
    }),
  );

const parts = fc.oneof({ weight: 20, arbitrary: fc.tuple(part) }, { weight: 1, arbitrary: chain });

type Part = typeof part extends fc.Arbitrary<infer T> ? T : never;

/** Who wrote it says how much of it: its channel, its headers. */
function written(one: Part, i: number): { channel: string; headers: Map<string, string> } {
  const headers = new Map<string, string>();
  if (one.kind !== 'data') headers.set('tideway-kind', one.kind);
  // What is never repeated has an id all the same, or none.
  if (one.rid !== undefined) headers.set('tideway-rid', one.rid < 5 ? `r${one.rid}` : `only${i}`);
  if (one.user !== undefined) headers.set('tideway-user', one.user);
  if (one.key !== undefined && one.kind === 'data') headers.set('tideway-key', one.key);
  return { channel: one.channel, headers };
}

function placeOf(record: TailRecord | undefined): string {
  return formatCursor(EPOCH, record?.position ?? '0', 'zzzz');
}

/** Logs with this window, of at most so many records. */
export function foreignLog(window: number, records = 120): fc.Arbitrary<ForeignLog> {
  return fc.array(parts, { minLength: 1, maxLength: records, size: 'max' }).map((groups) => {
    const made: TailRecord[] = [];
    const writes: { channel: string; headers: Map<string, string> }[] = [];
    let at = 0;
    for (const [i, one] of groups.flat().entries()) {
      at += stepOf(one.step, window);
      const { kind, back } = one.bond ?? { kind: 'nothing', back: 0 };
      const before = writes[i - back];
      let write = written(one, i);
      if (before !== undefined && kind === 'copy') write = before;
      if (before !== undefined && kind === 'rival') {
        const key = before.headers.get('tideway-key') ?? 'k';
        const expect = placeOf(made[i - back - 1]);
        const headers = new Map([...write.headers, ['tideway-key', key], ['tideway-expect', expect]]);
        headers.delete('tideway-kind');
        write = { channel: before.channel, headers };
      }
      if (kind === 'reader' && write.headers.has('tideway-key')) {
        write.headers.set('tideway-expect', placeOf(made[i - back]));
      }
      writes.push(write);
      const headers = new Map([...write.headers, ['tideway-time', String(1_700_000_000_000 + i)]]);
      const native = one.poison ?? { channel: write.channel, value: Buffer.from(`{"n":${i}}`), headers };
      const record = fromNative(native);
      made.push({ position: encodePositionNumber(at), tag: recordTag(record), record });
    }
    return { window, records: made };
  });
}
